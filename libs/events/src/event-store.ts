import type { Gun, Metafile, Sha256 } from '@scrivener/tuf';
import type { RepositoryEvent } from './repository-events.ts';

/** The last event of a stream: what the next one builds on. */
export interface StreamHead {
  readonly gun: Gun;
  /** The last event's number, counting from 1; 0 for an empty stream. */
  readonly version: number;
  /** Its hash, 64 hex digits; 64 zeros for an empty stream. */
  readonly hash: string;
}

/** An event with its place in the log. */
export interface RecordedEvent {
  /** Place in the whole log: 1, 2, 3 … without a gap, in the order of commits. */
  readonly position: number;
  /** Place in its stream: 1, 2, 3 … */
  readonly version: number;
  /** `eventHash` of the predecessor's hash and this event: 64 hex digits. */
  readonly hash: string;
  readonly event: RepositoryEvent;
}

/** Another writer was faster: load, decide and append again. */
export class WrongExpectedVersion extends Error {
  override readonly name = 'WrongExpectedVersion';
  readonly gun: Gun;
  readonly expected: number;

  constructor(gun: Gun, expected: number) {
    super(`the stream of ${gun} is no longer at version ${expected}`);
    this.gun = gun;
    this.expected = expected;
  }
}

/** What goes with an append, to those who subscribe. */
export interface AppendOptions {
  /** Whoever appends is going to project as well, so nobody else has to hurry. It may die before that. */
  readonly projects?: boolean;
}

/** The log: one stream for each GUN, and all of them in one order. */
export interface EventStore {
  /**
   * Adds one event to the end of a stream, and the bytes of the metafiles it names (all of them
   * have to be in `metafiles`; each is stored once): all of it durably, or nothing.
   *
   * `head` is what the caller decided on. If another writer was faster, nothing is added and this
   * throws `WrongExpectedVersion`. If the answer gets lost, the event may be there; appending the
   * same event on the same `head` again is safe: it answers with the recorded event and adds nothing.
   * Throws `EventLogError` for what can never be stored.
   */
  append(
    head: StreamHead,
    event: RepositoryEvent,
    metafiles: readonly Metafile[],
    options?: AppendOptions,
  ): Promise<RecordedEvent>;

  /** The events of one stream with a version above `after`, oldest first; at most `limit` of them. */
  readStream(gun: Gun, after: number, limit?: number): Promise<readonly RecordedEvent[]>;

  /** The position of the last event of the log; 0 while there is none. */
  lastPosition(): Promise<number>;

  /** That of the last event whose `at` is no later; 0 where there is none. Reads the whole log. */
  positionAt(time: Date): Promise<number>;

  /**
   * At most `limit` events with a position above `after`, in order. Never steps over an event that
   * commits later: what is not in the answer yet has a higher position than all that is.
   */
  readAfter(after: number, limit: number): Promise<readonly RecordedEvent[]>;

  /** The stored bytes with these checksums; those that are not stored are missing from the map. */
  readBytes(checksums: readonly Sha256[]): Promise<ReadonlyMap<Sha256, Uint8Array>>;

  /**
   * Calls `wake` soon after events were appended by anybody. A hint that may come late, twice or
   * (while the connection is away) not at all: subscribers poll behind it.
   */
  subscribe(wake: (appended: AppendOptions) => void): Promise<Unsubscribe>;

  /** Ends every subscription and gives connections back. */
  close(): Promise<void>;
}

export type Unsubscribe = () => Promise<void>;
