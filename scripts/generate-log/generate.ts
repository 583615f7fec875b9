import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Client } from 'pg';
import { births, LEAST_EVENTS, stretches, type LogPlan } from './plan.ts';
import { inOrder, insertEvents, type EventRow } from './rows.ts';
import type { WorkerData } from './worker.ts';

export interface GenerateOptions extends LogPlan {
  /** A migrated database whose log is empty. */
  readonly url: string;
  /** As many as there are processors where absent. */
  readonly threads?: number;
  /** Told after each stretch how many events are in the log. */
  readonly onProgress?: (events: number) => void;
}

/** Events that are made between two commits. */
const STRETCH = 10_000;

/**
 * Fills an empty log with the lives of many repositories: every update is verified, decided and
 * signed by the code that a server runs, and lies in the database as a server would have put it
 * there. Nothing is projected.
 */
export async function generateLog(options: GenerateOptions): Promise<void> {
  const { url, events, collections, seed, end, onProgress } = options;
  const { threads = availableParallelism() } = options;
  const plan = { events, collections, seed, end };
  if (events < collections * LEAST_EVENTS) {
    throw new RangeError(`${collections} collections have ${LEAST_EVENTS} events each, or more`);
  }
  const client = new Client({ connectionString: url, application_name: 'scrivener generate-log' });
  await client.connect();
  const workers: Worker[] = [];
  try {
    await refuseFull(client);
    await client.query('set synchronous_commit = off');
    for (let share = 0; share < threads; share += 1) {
      const workerData: WorkerData = { url, plan, share, threads };
      workers.push(new Worker(new URL('worker.ts', import.meta.url), { workerData }));
    }
    const ends = stretches(births(plan), STRETCH);
    let written = 0;
    let made = ask(workers, ends[0]);
    for (let index = 0; index < ends.length; index += 1) {
      const rows = await made;
      if (index + 1 < ends.length) made = ask(workers, ends[index + 1]);
      made.catch(() => {}); // told when it is awaited
      await insertEvents(client, rows);
      written += rows.length;
      onProgress?.(written);
    }
    const ended = workers.map((worker) => once(worker, 'exit'));
    for (const worker of workers) worker.postMessage('stop');
    await Promise.all(ended);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    await client.end();
  }
}

/** The events of all threads up to that moment, in the order of the log. */
async function ask(workers: readonly Worker[], end: number | undefined): Promise<EventRow[]> {
  const parts = await Promise.all(
    workers.map(async (worker) => {
      const answer = once(worker, 'message'); // rejects where the thread fails
      worker.postMessage(end);
      const [rows] = (await answer) as [EventRow[]];
      return rows;
    }),
  );
  return parts.flat().sort(inOrder);
}

async function refuseFull(client: Client): Promise<void> {
  const { rows } = await client.query<{ position: string }>('select position from log_head');
  if (rows[0]?.position !== '0') throw new RangeError('there is something in this log already');
}
