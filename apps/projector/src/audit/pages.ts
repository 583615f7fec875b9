import { setTimeout as sleep } from 'node:timers/promises';
import type { EventStore, RecordedEvent } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';

/** Events that are read together. */
const PAGE = 500;
/** Between two looks for new ones, in milliseconds. */
const POLL = 500;

export interface PageOptions {
  /** Of every repository where there is none. */
  readonly gun?: Gun | undefined;
  /** Behind this position; of one repository all are read, for its chain has to be followed. */
  readonly after: number;
  /** Goes on with what is appended, until the signal comes; without it, ends where the log ends. */
  readonly follow?: AbortSignal | undefined;
  /** Told that a look failed; another one follows. Only while following. */
  readonly onError: (error: unknown) => void;
}

/** The log in the order of commits, a page at a time: memory is that of a page. */
export async function* pagesOf(
  events: Pick<EventStore, 'readStream' | 'readAfter'>,
  { gun, after, follow, onError }: PageOptions,
): AsyncGenerator<readonly RecordedEvent[]> {
  let [position, version] = [after, 0];
  const read = () =>
    gun === undefined ? events.readAfter(position, PAGE) : events.readStream(gun, version, PAGE);
  for (;;) {
    if (follow?.aborted === true) return;
    const page = follow === undefined ? await read() : await read().catch(onError);
    const last = page?.at(-1);
    if (page !== undefined && last !== undefined) {
      yield page;
      [position, version] = [last.position, last.version];
    } else if (follow === undefined) {
      return;
    } else {
      await sleep(POLL, undefined, { signal: follow }).catch(() => {}); // rejects when aborted
    }
  }
}
