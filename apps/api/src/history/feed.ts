import type { EventStore, RecordedEvent, Unsubscribe } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';
import { Unavailable } from '../errors.ts';
import type { Streams } from './streams.ts';

/** What somebody follows. */
export interface Following {
  /** Only this repository. */
  readonly gun?: Gun;
  readonly maySee: (gun: Gun) => boolean;
}

/** A stretch of the log. */
export interface Stretch {
  readonly events: readonly RecordedEvent[];
  /** Everything up to this position is in `events`, or is not for this reader. */
  readonly next: number;
  /** Whether there may be more behind it already. */
  readonly more: boolean;
}

/** The log for those who follow it. */
export interface Feed {
  /** At most `limit` events above `after`. Looks at a bounded number, so it may find none yet. */
  read(following: Following, after: number, limit: number): Promise<Stretch>;
  /** Take it before reading: what is added after that is news. */
  mark(): number;
  /**
   * Resolves when something may have been added since, when the time is over, when the reader has
   * left, or on `close`.
   */
  news(since: number, timeoutMs: number, left: AbortSignal): Promise<void>;
  /** How long one of them may take to read what it was sent, in milliseconds. */
  readonly patienceMs: number;
  /** Takes one of the places of those who wait or stream. Throws `Unavailable` where all are taken. */
  enter(): () => void;
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  /** Ends all waits and streams. */
  close(): Promise<void>;
}

/** Events that are looked at for one answer. */
const LOOKED_AT = 5_000;
const PAGE = 500;
/** Between two looks where no notice came, in milliseconds. */
const POLL = 5_000;
/** `patienceMs`. */
const PATIENCE = 30_000;

export function createFeed(
  events: Pick<EventStore, 'readAfter' | 'subscribe'>,
  streams: Streams,
  places: number,
  patienceMs = PATIENCE,
): Feed {
  const waiting = new Set<() => void>();
  const closing = new AbortController();
  let subscription: Promise<Unsubscribe> | undefined;
  let taken = 0;
  let wakes = 0;
  const wake = () => {
    wakes += 1;
    for (const resolve of waiting) resolve();
  };

  const readLog = async ({ maySee }: Following, after: number, limit: number): Promise<Stretch> => {
    const found: RecordedEvent[] = [];
    let next = after;
    while (next < after + LOOKED_AT) {
      const page = await events.readAfter(next, PAGE);
      for (const recorded of page) {
        if (found.length === limit) return { events: found, next, more: true };
        ({ position: next } = recorded);
        if (maySee(recorded.event.gun)) found.push(recorded);
      }
      if (page.length < PAGE) return { events: found, next, more: false };
    }
    return { events: found, next, more: true };
  };

  const readStream = async (gun: Gun, after: number, limit: number): Promise<Stretch> => {
    const stream = await streams.read(gun);
    const start = firstAbove(stream, after);
    const found = stream.slice(start, start + limit);
    return {
      events: found,
      next: found.at(-1)?.position ?? after,
      more: start + limit < stream.length,
    };
  };

  return {
    patienceMs,
    read: ({ gun, maySee }, after, limit) => {
      if (gun === undefined) return readLog({ maySee }, after, limit);
      return maySee(gun)
        ? readStream(gun, after, limit)
        : Promise.resolve({ events: [], next: after, more: false });
    },

    mark() {
      subscription ??= events.subscribe(wake);
      subscription.catch(() => (subscription = undefined)); // it is polled all the same
      return wakes;
    },

    async news(since, timeoutMs, left) {
      if (closing.signal.aborted || left.aborted || since !== wakes) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      const timer = setTimeout(resolve, Math.min(timeoutMs, POLL));
      left.addEventListener('abort', () => resolve(), { once: true });
      await promise;
      clearTimeout(timer);
      waiting.delete(resolve);
    },

    enter() {
      if (taken >= places || closing.signal.aborted) {
        throw new Unavailable(`all ${places} places of those who follow events are taken`);
      }
      taken += 1;
      let isIn = true;
      return () => {
        if (isIn) taken -= 1;
        isIn = false;
      };
    },

    closing: closing.signal,

    async close() {
      closing.abort();
      wake();
      const unsubscribe = await subscription?.catch(() => undefined);
      await unsubscribe?.();
    },
  };
}

/** By halves: positions in a stream only go up. */
function firstAbove(stream: readonly RecordedEvent[], after: number): number {
  let low = 0;
  let high = stream.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((stream[middle]?.position ?? Infinity) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
