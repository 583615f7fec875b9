import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

/** Between two attempts, in milliseconds. */
const PAUSE = 250;
/** How long one attempt may hang, in milliseconds. */
const ATTEMPT = 5_000;

export interface WaitOptions {
  /** Gives up: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called once for each new reason why the database does not answer. */
  readonly onWaiting?: (reason: string) => void;
}

/**
 * Resolves as soon as the database answers a query, however long that takes: a process that starts
 * before its database waits for it, instead of dying and being started again.
 */
export async function waitForDatabase(url: string, options: WaitOptions = {}): Promise<void> {
  let told: string | undefined;
  for (;;) {
    options.signal?.throwIfAborted();
    const reason = await whyNot(url);
    if (reason === undefined) return;
    if (reason !== told) options.onWaiting?.(reason);
    told = reason;
    await sleep(PAUSE, undefined, { signal: options.signal });
  }
}

async function whyNot(url: string): Promise<string | undefined> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: ATTEMPT,
    query_timeout: ATTEMPT,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => {});
  }
}
