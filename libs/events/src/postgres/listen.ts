import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

export interface Listening {
  /** Called with the payload of each notification. */
  readonly onMessage: (payload: string) => void;
  /** Called each time the connection is there, for what was missed while it was not. */
  readonly onConnect: () => void;
}

export interface Listener {
  close(): Promise<void>;
}

/** Between two attempts to connect, in milliseconds. */
const PAUSE = 200;
const TIMEOUT = 5_000;

/**
 * Listens on a channel, on a connection of its own that is opened again whenever it is lost.
 * Resolves after the first attempt, even where that failed: then the next ones follow behind.
 */
export async function listen(
  url: string,
  channel: string,
  { onMessage, onConnect }: Listening,
): Promise<Listener> {
  const closing = new AbortController();
  let client: Client | undefined;

  const connect = async (): Promise<void> => {
    const next = new Client({
      connectionString: url,
      application_name: `scrivener listen ${channel}`,
      connectionTimeoutMillis: TIMEOUT,
      query_timeout: TIMEOUT,
      keepAlive: true,
    });
    next.on('error', () => {}); // "end" follows
    try {
      await next.connect();
      next.on('notification', ({ payload }) => onMessage(payload ?? ''));
      await next.query(`listen ${next.escapeIdentifier(channel)}`);
    } catch {
      await next.end().catch(() => {});
      if (!closing.signal.aborted) void reconnect();
      return;
    }
    client = next;
    next.on('end', () => {
      if (!closing.signal.aborted) void reconnect();
    });
    if (closing.signal.aborted) await next.end();
    else onConnect();
  };

  const reconnect = async (): Promise<void> => {
    await sleep(PAUSE, undefined, { signal: closing.signal }).then(connect, () => {});
  };

  await connect();
  return {
    async close() {
      closing.abort();
      await client?.end();
    },
  };
}
