import { emptyHead, eventHash, type RecordedEvent } from '@scrivener/events';

/** Follows the chain of hashes of one stream, page by page. */
export interface Chain {
  /** The next events, from the first of the stream on. */
  follow(events: readonly RecordedEvent[]): void;
  readonly length: number;
  /** The first event whose number or hash does not follow from the one before. */
  readonly broken: RecordedEvent | undefined;
}

export function createChain(): Chain {
  let length = 0;
  let hash: string | undefined;
  let broken: RecordedEvent | undefined;
  return {
    follow(events) {
      for (const recorded of events) {
        const { event } = recorded;
        length += 1;
        const next = { gun: event.gun, version: length, event };
        hash = eventHash(hash ?? emptyHead(event.gun).hash, next);
        if (recorded.version !== length || recorded.hash !== hash) broken ??= recorded;
      }
    },
    get length() {
      return length;
    },
    get broken() {
      return broken;
    },
  };
}
