import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ClientBase } from 'pg';
import { readOnlyClient, type Checked } from './check-repositories.ts';
import type { Finding } from './finding.ts';
import { keep } from './limits.ts';
import { checkLogOrder, type RecordedHead } from './log-order.ts';
import { readProgress, removeProgress, writeProgress, type Progress } from './state-file.ts';
import { checkTables } from './tables.ts';

export interface FsckOptions {
  readonly url: string;
  readonly threads: number;
  /** Heads that were recorded of this log. */
  readonly expected: readonly RecordedHead[];
  /** Where to keep how far it has got; a run with the same file goes on there. */
  readonly stateFile?: string | undefined;
  /** Told now and then; `rate` is per second, `left` in seconds. */
  readonly onProgress?: (progress: FsckProgress) => void;
}

export interface FsckProgress {
  readonly phase: 'order' | 'repositories';
  readonly events: number;
  readonly of: number;
  readonly rate: number;
  readonly left: number;
}

export interface Report {
  /** To be recorded elsewhere: with it a later run can tell whether the log up to here was rewritten. */
  readonly head: RecordedHead;
  readonly events: number;
  readonly files: number;
  readonly repositories: number;
  /** Repositories that the read model had not caught up with: compared in the next run. */
  readonly unprojected: number;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** Repositories that a thread is given at once. */
const CHUNK = 16;

/** Checks log, files and read model. Reads only; nothing that signs or sends is within reach. */
export async function fsck(options: FsckOptions): Promise<Report> {
  const { url, threads, expected, stateFile, onProgress = () => {} } = options;
  const startedAt = performance.now();
  const client = await readOnlyClient(url);
  const workers: Worker[] = [];
  try {
    const resumed = stateFile === undefined ? undefined : await readProgress(stateFile);
    const state = resumed ?? (await begin(client, expected, onProgress));
    for (let index = 0; index < threads; index += 1) {
      workers.push(new Worker(new URL('worker.ts', import.meta.url), { workerData: { url } }));
    }
    const done = await checkAll(client, workers, state, async (now) => {
      onProgress(progressOf('repositories', now.events, state, startedAt, now.head.position));
      if (stateFile !== undefined) await writeProgress(stateFile, now);
    });
    const findings = keep(done.findings, await checkTables(client));
    await Promise.all(workers.map(stop));
    if (stateFile !== undefined) await removeProgress(stateFile);
    const { head, events, files, repositories, unprojected } = done;
    const seconds = (performance.now() - startedAt) / 1_000;
    return { head, events, files, repositories, unprojected, findings, seconds };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    await client.end();
  }
}

/** Lets a thread end by itself. */
async function stop(worker: Worker): Promise<void> {
  const ended = once(worker, 'exit');
  worker.postMessage('stop');
  await ended;
}

async function begin(
  client: ClientBase,
  expected: readonly RecordedHead[],
  onProgress: (progress: FsckProgress) => void,
): Promise<Progress> {
  const startedAt = performance.now();
  const { head, findings } = await checkLogOrder(client, {
    expected,
    onProgress: (events, of) =>
      onProgress(progressOf('order', events, { events: 0 }, startedAt, of)),
  });
  const nothing = { events: 0, files: 0, repositories: 0, unprojected: 0 };
  return { format: 1, head, after: '', ...nothing, findings: keep([], findings) };
}

function progressOf(
  phase: FsckProgress['phase'],
  events: number,
  { events: before }: { readonly events: number },
  startedAt: number,
  of: number,
): FsckProgress {
  const rate = (events - before) / ((performance.now() - startedAt) / 1_000);
  return { phase, events, of, rate, left: rate > 0 ? Math.max(0, of - events) / rate : Infinity };
}

/**
 * Hands out repositories in the order of their digests, a few at a time to each thread, and takes in
 * what they find in that order, so that "checked up to here" is one place.
 */
async function checkAll(
  client: ClientBase,
  workers: readonly Worker[],
  begun: Progress,
  onProgress: (progress: Progress) => Promise<void>,
): Promise<Progress> {
  let state = begun;
  let after = begun.after;
  const queue: { readonly last: string; readonly checked: Promise<Checked> }[] = [];
  const free = [...workers];
  for (;;) {
    const worker = free.shift();
    const digests = worker === undefined ? [] : await nextDigests(client, after);
    const last = digests.at(-1);
    if (worker !== undefined && last !== undefined) {
      const checked = ask(worker, digests).then((answer) => {
        free.push(worker);
        return answer;
      });
      checked.catch(() => {}); // told when it is awaited
      queue.push({ last, checked });
      after = last;
      if (free.length > 0) continue;
    }
    const oldest = queue.shift();
    if (oldest === undefined) return state;
    state = taken(state, oldest.last, await oldest.checked);
    await onProgress(state);
    if (worker !== undefined && last === undefined) free.push(worker);
  }
}

function taken(state: Progress, after: string, checked: Checked): Progress {
  return {
    ...state,
    after,
    events: state.events + checked.events,
    files: state.files + checked.files,
    repositories: state.repositories + checked.repositories,
    unprojected: state.unprojected + checked.unprojected,
    findings: keep(state.findings, checked.findings),
  };
}

async function ask(worker: Worker, digests: readonly string[]): Promise<Checked> {
  const answer = once(worker, 'message'); // rejects where the thread fails
  worker.postMessage(digests);
  const [checked] = (await answer) as [Checked];
  return checked;
}

/** The next GUNs in the index, each found by its first entry: no look at every event. */
async function nextDigests(client: ClientBase, after: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ digest: string }>({
    name: 'next digests',
    text: `with recursive next as (
        select (select min(gun_sha256) from events where gun_sha256 > decode($1, 'hex')) as digest, 1 as nth
        union all
        select (select min(gun_sha256) from events where gun_sha256 > digest), nth + 1
        from next where digest is not null and nth < ${CHUNK}
      )
      select encode(digest, 'hex') as digest from next where digest is not null`,
    values: [after],
  });
  return rows.map(({ digest }) => digest);
}
