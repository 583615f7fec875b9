import type { EventStore, RecordedEvent } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import { Overloaded } from '../admission/admission.ts';
import { createTurnstile, type Turnstile, type TurnstileLimits } from '../admission/turnstile.ts';
import { Unavailable } from '../errors.ts';

/** Events of all streams that are kept at hand: some 50 MB. */
const KEPT_EVENTS = 50_000;
/** A stream that is longer is not read for a request: that is work for the projector's commands. */
const LONGEST = 200_000;
const PAGE = 2_000;
/** Of streams that are read at once: a long one is some 200 MB. */
const READING: TurnstileLimits = { places: 4, waiting: 256, waitMs: 5_000 };

/** Whole streams, for questions about the past. */
export interface Streams {
  /**
   * All events of a repository, oldest first. What is kept cannot go stale, for what happened
   * stays; only the news are read. Throws `Unavailable` for a stream of more than 200,000 events.
   */
  read(gun: Gun): Promise<readonly RecordedEvent[]>;
}

export function createStreams(events: Pick<EventStore, 'readStream'>): Streams {
  const kept = new LRUCache<Gun, readonly RecordedEvent[]>({
    maxSize: KEPT_EVENTS,
    sizeCalculation: (stream) => stream.length + 1,
  });
  const reading = new Map<Gun, Promise<readonly RecordedEvent[]>>();
  const turnstile = createPastTurnstile(READING);

  const readNews = async (gun: Gun): Promise<readonly RecordedEvent[]> => {
    const known = kept.get(gun) ?? [];
    const stream = [...known];
    for (;;) {
      const page = await events.readStream(gun, stream.length, PAGE);
      for (const recorded of page) stream.push(recorded);
      if (stream.length > LONGEST) throw new Unavailable(`a stream of more than ${LONGEST} events`);
      if (page.length < PAGE) break;
    }
    if (stream.length === known.length) return known;
    kept.set(gun, stream);
    return stream;
  };

  return {
    // Those who ask while it is read get what is read, however long the first of them waits.
    read(gun) {
      const begun = reading.get(gun);
      if (begun !== undefined) return begun;
      const read = turnstile.run(() => readNews(gun)).finally(() => reading.delete(gun));
      reading.set(gun, read);
      return read;
    },
  };
}

/** Where those wait who ask for much at once. They get 503 and `Retry-After` when that takes too long. */
export function createPastTurnstile(limits: TurnstileLimits): Turnstile {
  return createTurnstile(limits, 'questions about the past', (reason) => {
    throw new Overloaded(reason);
  });
}
