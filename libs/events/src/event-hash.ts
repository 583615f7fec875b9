import { createHash } from 'node:crypto';
import type { Gun } from '@scrivener/tuf';
import { canonicalJson, dataJson } from './event-json.ts';
import type { RecordedEvent, StreamHead } from './event-store.ts';
import type { RepositoryEvent } from './repository-events.ts';

/** What stands in the place of a predecessor's hash before the first event of a stream. */
const NO_PREDECESSOR = '0'.repeat(64);

/** The head of a stream that has no event yet. */
export function emptyHead(gun: Gun): StreamHead {
  return { gun, version: 0, hash: NO_PREDECESSOR };
}

export interface HashedEvent {
  readonly gun: Gun;
  /** Place in its stream. */
  readonly version: number;
  readonly event: RepositoryEvent;
}

/**
 * Chains an event to its predecessor: SHA-256, in lower-case hex, over the UTF-8 of one line of
 * JSON without white space, members in this order, strings as `JSON.stringify` writes them:
 *
 *     {"at":A,"cause":C,"data":D,"gun":G,"previous":P,"type":T,"version":N}
 *
 * P is `previousHash`, N the number in the stream, and C and D are objects with their members
 * sorted by name; versions of metafiles are decimal strings. As the data names every metafile by
 * its sha256, the last hash of a stream vouches for all that ever happened to that repository.
 */
export function eventHash(previousHash: string, { gun, version, event }: HashedEvent): string {
  const line = canonicalJson({
    at: event.at,
    cause: { ...event.cause },
    data: dataJson(event),
    gun,
    previous: previousHash,
    type: event.type,
    version,
  });
  return createHash('sha256').update(line).digest('hex');
}

/**
 * The first event of a stream, given from its beginning, whose number or hash does not follow from
 * the one before; `undefined` when the chain is whole.
 */
export function firstBrokenLink(stream: readonly RecordedEvent[]): RecordedEvent | undefined {
  let hash = NO_PREDECESSOR;
  let version = 0;
  for (const recorded of stream) {
    version += 1;
    hash = eventHash(hash, { gun: recorded.event.gun, version, event: recorded.event });
    if (recorded.version !== version || recorded.hash !== hash) return recorded;
  }
  return undefined;
}
