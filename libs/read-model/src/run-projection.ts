import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { EventStore } from '@scrivener/events';
import type { ReadModel } from './read-model.ts';

/** Behind the subscription, whose hints may get lost: how often to look all the same, in milliseconds. */
const POLL = 500;
/** How long whoever appends an event and projects it is left alone with it, in milliseconds. */
const GRACE = 20;
/** The first pause after a failure and the longest, in milliseconds: a database that is back is noticed at once. */
const BACKOFF = { first: 50, longest: 250 };

export interface ProjectionOptions {
  /** Ends the loop: after the batch in hand. */
  readonly signal: AbortSignal;
  /** Told of every failure; the loop goes on after a pause. */
  readonly onError: (error: unknown) => void;
}

/**
 * Projects the log for as long as the process lives: at once when something was appended, a moment later
 * where its writer is going to project it, and every 500 ms in any case. Any number of these may run over one database. Resolves when `signal`
 * is aborted; never rejects.
 */
export async function runProjection(
  readModel: ReadModel,
  events: EventStore,
  { signal, onError }: ProjectionOptions,
): Promise<void> {
  const alarm = createAlarm();
  signal.addEventListener('abort', alarm.ring);
  const unsubscribe = await events
    .subscribe(({ projects }) => (projects === true ? alarm.ringLater() : alarm.ring()))
    .catch((error: unknown) => {
      onError(error); // the poll goes on without it
      return async () => {};
    });
  let pause = BACKOFF.first;
  while (!signal.aborted) {
    try {
      if ((await readModel.project()) === 'more') await nextTurn();
      else await alarm.wait(POLL);
      pause = BACKOFF.first;
    } catch (error) {
      onError(error);
      await sleep(pause, undefined, { signal }).catch(() => {}); // rejects when aborted
      pause = Math.min(pause * 2, BACKOFF.longest);
    }
  }
  signal.removeEventListener('abort', alarm.ring);
  await unsubscribe().catch(onError);
}

interface Alarm {
  readonly ring: () => void;
  /** Rings once nobody has asked for it for `GRACE`. */
  readonly ringLater: () => void;
  /** Resolves at the next ring, or when `ms` are over. A ring that nobody waited for counts. */
  readonly wait: (ms: number) => Promise<void>;
}

function createAlarm(): Alarm {
  let rung = false;
  let wake: (() => void) | undefined;
  let later: NodeJS.Timeout | undefined;
  const ring = () => {
    rung = true;
    wake?.();
  };
  return {
    ring,
    ringLater() {
      clearTimeout(later);
      later = setTimeout(ring, GRACE).unref();
    },
    async wait(ms) {
      if (!rung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const timer = setTimeout(resolve, ms);
        await promise;
        clearTimeout(timer);
      }
      rung = false;
    },
  };
}
