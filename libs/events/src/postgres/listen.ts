import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { promptly } from './connections.ts';

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
/** Between two questions whether the connection is alive, and how long the answer may take. */
const BEAT = 1_000;
const BEAT_LIMIT = 2_000;

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
      ...promptly,
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
    let heart: NodeJS.Timeout;
    const beat = () => {
      // where packets vanish nothing else tells; a limit of its own, which the types do not know
      const question = { text: 'select 1', query_timeout: BEAT_LIMIT } as { text: string };
      next.query(question).then(rest, () => next.end().catch(() => {}));
    };
    const rest = () => {
      heart = setTimeout(beat, BEAT).unref();
    };
    rest();
    next.on('end', () => {
      clearTimeout(heart);
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
