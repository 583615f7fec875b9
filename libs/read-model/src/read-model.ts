import type { RecordedEvent } from '@scrivener/events';
import type { Gun, RoleName, ServerRole, Sha256 } from '@scrivener/tuf';
import type { Expiries } from './expiries.ts';
import type { RebuildProgress } from './generations.ts';
import type { Readers } from './readers.ts';

/** One stored version of a role, as GETs serve it. */
export interface PublishedFile {
  readonly bytes: Uint8Array;
  readonly version: bigint;
  readonly sha256: Sha256;
  /** `at` of the event that published it: Last-Modified. */
  readonly publishedAt: Date;
}

/** A current timestamp or snapshot. */
interface ServerFile extends PublishedFile {
  /** When one of the two expires first: they are renewed together (WIRE §8.4). */
  readonly expiresAt: Date;
}

/** One entry of the changefeed (WIRE §11). */
export interface Change {
  /** 1, 2, 3 … in the order of the log. */
  readonly id: number;
  readonly createdAt: Date;
  readonly gun: Gun;
  /** Of the timestamp; 0 for a deletion. */
  readonly version: bigint;
  /** Of the timestamp; empty for a deletion. */
  readonly sha256: Sha256 | '';
  readonly category: 'update' | 'deletion';
}

/** Which changes: WIRE §11's table says how `after` and `records` go together. */
export interface ChangesQuery {
  /** Only this repository; all of them where absent. */
  readonly gun?: Gun;
  /** `change_id`, an int32. */
  readonly changeId: number;
  /** An int32 other than 0. Negative: backwards. */
  readonly records: number;
}

/** How far a projection is behind its log. */
export interface ProjectionLag {
  /** Of the log's last event; 0 before the first. */
  readonly position: number;
  readonly checkpoint: number;
  /**
   * How long ago the oldest event that is not projected happened, in milliseconds; 0 where there is
   * none. Clocks of different machines are compared, so small values mean little.
   */
  readonly behindMs: number;
}

/** Events that were just projected together. */
export interface ProjectedBatch {
  readonly events: readonly RecordedEvent[];
  /** When their batch was begun. */
  readonly startedAt: Date;
}

/** What GETs read. Everything here can be thrown away and projected again from the log. */
export interface ReadModel {
  /** The highest version of a role. */
  current(gun: Gun, role: RoleName): Promise<PublishedFile | undefined>;
  /** The highest version of what the server may have to renew, in one look with its expiry. */
  currentOfServer(gun: Gun, role: ServerRole): Promise<ServerFile | undefined>;
  byVersion(gun: Gun, role: RoleName, version: bigint): Promise<PublishedFile | undefined>;
  byChecksum(gun: Gun, role: RoleName, sha256: Sha256): Promise<PublishedFile | undefined>;
  /** Oldest first. */
  changes(query: ChangesQuery): Promise<readonly Change[]>;

  /** When what is current expires. */
  readonly expiries: Expiries;

  /** Who answers from memory. */
  readonly readers: Readers;

  /**
   * Projects the next events of the log: their rows and the checkpoint in one transaction, so that
   * a crash repeats nothing and skips nothing. Of several callers at once one works and the others
   * get `busy`. `more` says that the log may go on; `idle` that its end was reached.
   */
  project(): Promise<'more' | 'idle' | 'busy'>;

  /**
   * Projects these events, which the caller has just appended, if they are the very next ones, and says
   * whether it did. It does not where others are in front of them, or somebody else works: then
   * whoever projects will come to them. They have to be as they are in the log, one after the other.
   */
  projectNext(events: readonly [RecordedEvent, ...RecordedEvent[]]): Promise<boolean>;

  /** Position of the last event that is projected; 0 before the first. */
  checkpoint(): Promise<number>;

  /** One cheap look at log and checkpoint, as of the same moment. */
  lag(): Promise<ProjectionLag>;

  /**
   * Resolves to true as soon as the checkpoint has reached `position`, in whatever process that
   * was; to false when `timeoutMs` is over.
   */
  reached(position: number, timeoutMs: number): Promise<boolean>;

  /**
   * Projects the log again from position 0: readers see the old rows until all of the new ones are
   * there, and then what has happened since. Where there are generations, publishes go on meanwhile
   * and what was there is kept (see `Generations`); only there progress is told.
   */
  replay(onProgress?: (progress: RebuildProgress) => void): Promise<void>;

  close(): Promise<void>;
}
