import type { Gun, Metafile, Sha256 } from '@scrivener/tuf';
import { EventLogError } from './errors.ts';
import { eventHash } from './event-hash.ts';
import { deserialise, serialise, type StoredEvent } from './event-json.ts';
import type { RecordedEvent, StreamHead } from './event-store.ts';
import type { RepositoryEvent } from './repository-events.ts';

/** An event that is ready to be added: all of it but its position. */
export interface Draft extends Omit<RecordedEvent, 'position'> {
  readonly stored: StoredEvent;
  /** The metafiles it names, each checksum once. */
  readonly files: ReadonlyMap<Sha256, Uint8Array>;
}

/**
 * Whether a log can keep events of this GUN. WIRE allows any text, but Postgres keeps no U+0000
 * and UTF-8 knows no lone surrogates, so a GUN with one of these can never have metadata: the API
 * answers reads with 404 and refuses what would store something.
 */
export function isStorableGun(gun: Gun): boolean {
  return !gun.includes('\0') && gun.isWellFormed();
}

/** What every adapter checks before it adds an event. Throws `EventLogError`. */
export function draftOf(
  head: StreamHead,
  event: RepositoryEvent,
  metafiles: readonly Metafile[],
): Draft {
  if (!isStorableGun(event.gun)) {
    throw new EventLogError('UNSTORABLE_GUN', `not a GUN that can be kept: ${event.gun}`);
  }
  if (event.gun !== head.gun) {
    throw new EventLogError('UNSTORABLE_EVENT', `an event of ${event.gun} on ${head.gun}`);
  }
  const stored = serialise(event);
  mustReadBack(stored);
  const version = head.version + 1;
  return {
    version,
    hash: eventHash(head.hash, { gun: event.gun, version, event }),
    event,
    stored,
    files: namedFiles(event, metafiles),
  };
}

/** A log that takes what it cannot give back stops every reader for good. */
function mustReadBack(stored: StoredEvent): void {
  try {
    deserialise({
      ...stored,
      data: JSON.parse(stored.data),
      cause: JSON.parse(stored.cause),
    });
  } catch (error) {
    throw new EventLogError('UNSTORABLE_EVENT', `not an event that can be kept: ${stored.type}`, {
      cause: error,
    });
  }
}

function namedFiles(
  event: RepositoryEvent,
  metafiles: readonly Metafile[],
): ReadonlyMap<Sha256, Uint8Array> {
  const given = new Map(metafiles.map(({ sha256, bytes }) => [sha256, bytes]));
  const files = new Map<Sha256, Uint8Array>();
  const publishes = event.type === 'UpdatePublished' || event.type === 'RoleRenewed';
  for (const { role, sha256 } of publishes ? event.data.metafiles : []) {
    const bytes = given.get(sha256);
    if (bytes === undefined) {
      throw new EventLogError('MISSING_BYTES', `the bytes of ${role} ${sha256} were not given`);
    }
    files.set(sha256, bytes);
  }
  return files;
}
