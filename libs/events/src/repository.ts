import {
  TufError,
  type Gun,
  type KeyId,
  type Metafile,
  type PublicKey,
  type RoleName,
  type ServerRole,
} from '@scrivener/tuf';
import { EventLogError } from './errors.ts';
import { emptyHead } from './event-hash.ts';
import type { RecordedEvent, StreamHead } from './event-store.ts';
import type {
  Cause,
  KeyCreated,
  MetafileRef,
  RepositoryDeleted,
  RepositoryRestored,
  RoleRenewed,
  UpdatePublished,
} from './repository-events.ts';

/** A key that the signer holds the private half of. */
export interface ServerKey {
  readonly role: ServerRole;
  readonly key: PublicKey;
}

/** A deletion that nothing was published after. */
export interface Deletion {
  /** Of the event. */
  readonly version: number;
  readonly at: string;
  /** What was current before it, and the version of the event that had begun it. */
  readonly took: ReadonlyMap<RoleName, MetafileRef>;
  readonly since: number;
}

/** What the log says about one repository: all that decisions are made on. */
export interface Repository {
  /** What the next event builds on. */
  readonly head: StreamHead;
  /** Of its last event in the log; 0 where it has none. */
  readonly position: number;
  /** The current metafile of each role; empty before the first publish and after a deletion. */
  readonly current: ReadonlyMap<RoleName, MetafileRef>;
  /** Version of the event that began what is current: its first publish; 0 where nothing is. */
  readonly since: number;
  /** What took all that was current, as long as nothing is. */
  readonly deletion?: Deletion;
  /** Every key the signer ever made for it; a deletion takes none away (WIRE §10). */
  readonly keys: ReadonlyMap<KeyId, ServerKey>;
}

export function emptyRepository(gun: Gun): Repository {
  return { head: emptyHead(gun), position: 0, current: new Map(), since: 0, keys: new Map() };
}

/** Evolves: the repository after an event. Never refuses one; what is in the log happened. */
export function evolve(repository: Repository, recorded: RecordedEvent): Repository {
  return evolveAll(repository, [recorded]);
}

/** The repository after a stretch of its stream. Copies the maps once, however many events. */
export function evolveAll(repository: Repository, stream: readonly RecordedEvent[]): Repository {
  const current = new Map(repository.current);
  const keys = new Map(repository.keys);
  let { head, position, since, deletion } = repository;
  for (const recorded of stream) {
    const { version, hash, event } = recorded;
    head = { gun: event.gun, version, hash };
    ({ position } = recorded);
    switch (event.type) {
      case 'KeyCreated':
        keys.set(event.data.keyid, { role: event.data.role, key: event.data.key });
        break;
      case 'UpdatePublished':
      case 'RoleRenewed':
        if (current.size === 0) since = version;
        deletion = undefined;
        for (const metafile of event.data.metafiles) current.set(metafile.role, metafile);
        break;
      case 'RepositoryDeleted':
        if (current.size > 0) deletion = { version, at: event.at, took: new Map(current), since };
        current.clear();
        since = 0;
        break;
      case 'RepositoryRestored':
        ({ since } = event.data);
        deletion = undefined;
        current.clear();
        for (const metafile of event.data.metafiles) current.set(metafile.role, metafile);
        break;
    }
  }
  return { head, position, current, since, ...(deletion && { deletion }), keys };
}

/** When, and who asked. */
export interface Occasion {
  /** RFC 3339 in UTC with milliseconds, as `Date.toISOString` writes it. */
  readonly at: string;
  readonly cause: Cause;
}

/** A metafile with what the log keeps about it besides. */
export interface NewMetafile
  extends Metafile, Pick<MetafileRef, 'expires' | 'certificatesExpire' | 'madeBy'> {}

export interface Publication extends Occasion {
  /** What was uploaded and what was signed for it. */
  readonly metafiles: readonly NewMetafile[];
}

/**
 * Decides: the event of a publish. That the files follow the rules was checked before; this
 * guards once more what the log itself relies on: versions only go up (WIRE §9). Throws
 * `TufError` (`OLD_VERSION`).
 */
export function publishUpdate(
  repository: Repository,
  { metafiles, at, cause }: Publication,
): UpdatePublished {
  oneOfEachRole(metafiles);
  for (const { role, version } of metafiles) {
    const current = repository.current.get(role);
    if (current !== undefined && version <= current.version) throw oldVersion();
  }
  const { gun } = repository.head;
  return { type: 'UpdatePublished', gun, at, cause, data: { metafiles: metafiles.map(refTo) } };
}

/**
 * Decides: the event of a renewal: a timestamp, with or without a snapshot, each the very next
 * version of what is current. Throws `TufError` (`OLD_VERSION`) where that was renewed meanwhile.
 */
export function renewRoles(
  repository: Repository,
  { metafiles, at, cause }: Publication,
): RoleRenewed {
  oneOfEachRole(metafiles);
  for (const { role, version } of metafiles) {
    if (role !== 'snapshot' && role !== 'timestamp') {
      throw new RangeError(`the server renews no ${role}`);
    }
    const current = repository.current.get(role);
    if (current === undefined) throw new RangeError(`there is no ${role} to renew`);
    if (version <= current.version) throw oldVersion();
    if (version > current.version + 1n) throw new RangeError(`a renewal skips no version`);
  }
  const { gun } = repository.head;
  return { type: 'RoleRenewed', gun, at, cause, data: { metafiles: metafiles.map(refTo) } };
}

export interface NewKey extends Occasion {
  readonly role: ServerRole;
  readonly keyid: KeyId;
  readonly key: PublicKey;
}

/** Decides: that the signer holds a key for this repository; nothing when the log says so already. */
export function recordKey(
  { head, keys }: Repository,
  { role, keyid, key, at, cause }: NewKey,
): KeyCreated | undefined {
  if (keys.has(keyid)) return undefined;
  return { type: 'KeyCreated', gun: head.gun, at, cause, data: { role, keyid, key } };
}

/** Decides: that all metadata goes; nothing when there is none. */
export function deleteRepository(
  { head, current }: Repository,
  { at, cause }: Occasion,
): RepositoryDeleted | undefined {
  if (current.size === 0) return undefined;
  return { type: 'RepositoryDeleted', gun: head.gun, at, cause, data: {} };
}

export interface Restoration extends Occasion {
  /** How long after a deletion it may be taken back, in milliseconds. */
  readonly windowMs: number;
}

/** Events that a restoration tells again at most: they are projected at once. */
const LONGEST_LIFE = 50_000;

/**
 * Decides: that the last deletion is taken back. What was current is so again, with its old versions, so
 * none goes back for clients that saw it; nothing is signed. Throws `EventLogError` (`NOT_RESTORABLE`).
 */
export function restoreRepository(
  { head, current, since, deletion }: Repository,
  { at, cause, windowMs }: Restoration,
): RepositoryRestored {
  const { gun, version } = head;
  if (version === 0) throw notRestorable(`the log has no events of ${gun}`);
  if (deletion === undefined) {
    throw notRestorable(
      current.size > 0
        ? `${gun} is not deleted: what is current was begun in version ${since} of its log`
        : `nothing was ever published in ${gun}`,
    );
  }
  if (Date.parse(at) - Date.parse(deletion.at) > windowMs) {
    throw notRestorable(`${gun} was deleted at ${deletion.at}, and that is too long ago`);
  }
  if (deletion.version - deletion.since > LONGEST_LIFE) {
    throw notRestorable(`${gun} had more than ${LONGEST_LIFE} events before it was deleted`);
  }
  const metafiles = [...deletion.took.values()];
  const data = { metafiles, since: deletion.since, until: deletion.version };
  return { type: 'RepositoryRestored', gun, at, cause, data };
}

function notRestorable(message: string): EventLogError {
  return new EventLogError('NOT_RESTORABLE', message);
}

function refTo({ bytes, ...file }: NewMetafile): MetafileRef {
  const { role, version, sha256, expires, certificatesExpire, madeBy } = file;
  return {
    role,
    version,
    sha256,
    length: bytes.length,
    expires,
    ...(certificatesExpire !== undefined && { certificatesExpire }),
    madeBy,
  };
}

function oneOfEachRole(metafiles: readonly NewMetafile[]): void {
  if (new Set(metafiles.map(({ role }) => role)).size < metafiles.length) {
    throw new RangeError('one event makes one version of a role current');
  }
}

function oldVersion(): TufError {
  return new TufError('OLD_VERSION', 'A newer version of metadata is already available.');
}
