// A thread: lives its share of the repositories, a stretch of time at a time. Bytes go to the database
// from here; events go to the main thread, for only it knows their positions.

import { parentPort, workerData } from 'node:worker_threads';
import { Client } from 'pg';
import { createLife, type Life } from './life.ts';
import { births, type LogPlan } from './plan.ts';
import { eventRow, inOrder, insertFiles, type EventRow } from './rows.ts';

export interface WorkerData {
  readonly url: string;
  readonly plan: LogPlan;
  /** It has each repository whose number leaves this rest when divided by the number of threads. */
  readonly share: number;
  readonly threads: number;
}

/** Bytes of files that go into one statement. */
const BATCH = 4 * 1024 * 1024;

const { url, plan, share, threads } = workerData as WorkerData;
const port = parentPort;
if (port === null) throw new Error('this is a thread of generate-log');

const client = new Client({ connectionString: url, application_name: 'scrivener generate-log' });
await client.connect();
await client.query('set synchronous_commit = off');
const lives: Life[] = births(plan)
  .filter((_, index) => index % threads === share)
  .map(createLife);

// one stretch after the other, although they may be asked for at once
let working: Promise<void> = Promise.resolve();
port.on('message', (order: number | 'stop') => {
  working = obey(order, working);
});

async function obey(order: number | 'stop', before: Promise<void>): Promise<void> {
  await before;
  if (order === 'stop') {
    await client.end();
    port?.close();
  } else {
    port?.postMessage(await liveUntil(order));
  }
}

async function liveUntil(end: number): Promise<EventRow[]> {
  const rows: EventRow[] = [];
  let files = new Map<string, Uint8Array>();
  let size = 0;
  for (const life of lives) {
    for (let at = life.nextAt(); at !== undefined && at < end; at = life.nextAt()) {
      const draft = life.live();
      rows.push(eventRow(draft));
      for (const [sha256, bytes] of draft.files) {
        files.set(sha256, bytes);
        size += bytes.length;
      }
      if (size < BATCH) continue;
      await insertFiles(client, files);
      files = new Map();
      size = 0;
    }
  }
  await insertFiles(client, files);
  return rows.sort(inOrder);
}
