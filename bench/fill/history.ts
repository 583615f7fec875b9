import { randomUUID } from 'node:crypto';
import {
  emptyRepository,
  evolve,
  publishUpdate,
  recordKey,
  type NewMetafile,
  type Repository,
  type RepositoryEvent,
} from '@scrivener/events';
import {
  parseGun,
  SERVER_ROLE_LIFETIME,
  sha256Of,
  type Gun,
  type PublicKey,
  type RoleName,
  type ServerRole,
} from '@scrivener/tuf';
import { draftOf, type Draft } from '../../libs/events/src/draft.ts';
import { fileMetaOf } from '../../libs/tuf/src/file-meta.ts';
import { renderSnapshot } from '../../libs/tuf/src/snapshot.ts';
import { addDays, renderTime } from '../../libs/tuf/src/times.ts';
import { renderTimestamp } from '../../libs/tuf/src/timestamp.ts';
import { CERTIFICATES_EXPIRE, envelope, EXPIRES, newKey, Owner } from '../load/owner.ts';

/** A collection as it is after its first publish: the events of its stream, in the form of the log. */
export interface History {
  readonly gun: Gun;
  readonly drafts: readonly Draft[];
  /** Public halves of the keys that the server would hold. */
  readonly serverKeys: Readonly<Record<ServerRole, PublicKey>>;
}

/** Targets in the targets file. */
const FILES = 10;

/**
 * What `notary init` and a publish leave in the log: both keys made, then root, targets, snapshot and
 * timestamp. Every key, byte, signature and hash is the collection's own; decisions and hash chain are
 * those of the real code. Only the rules are not asked, for what is written here follows them.
 */
export function firstHistory(name: string, now: Date): History {
  const gun = parseGun(name);
  if (gun === undefined) throw new RangeError(`not a GUN: ${name}`);
  const keys = { timestamp: newKey(), snapshot: newKey() };
  const at = now.toISOString();
  const cause = { requestId: randomUUID() };
  const drafts: Draft[] = [];
  let repository = emptyRepository(gun);
  const add = (event: RepositoryEvent | undefined, metafiles: readonly NewMetafile[] = []) => {
    if (event === undefined) throw new Error(`nothing to add to ${gun}`);
    const draft = draftOf(repository.head, event, metafiles);
    drafts.push(draft);
    repository = evolved(repository, draft);
  };

  for (const role of ['timestamp', 'snapshot'] as const) {
    const { keyid, publicKey: key } = keys[role];
    add(recordKey(repository, { role, keyid, key, at, cause }));
  }
  const serverKeys = { timestamp: keys.timestamp.publicKey, snapshot: keys.snapshot.publicKey };
  const owner = new Owner(gun, FILES);
  const root = metafile('root', owner.root(serverKeys).bytes, EXPIRES, 'client');
  const targets = metafile('targets', owner.targets().bytes, EXPIRES, 'client');
  const listed = new Map([root, targets].map(({ role, bytes }) => [role, fileMetaOf(bytes)]));
  const expiry = (role: ServerRole) => renderTime(addDays(now, SERVER_ROLE_LIFETIME[role]));
  const snapshot = metafile(
    'snapshot',
    envelope(renderSnapshot(1n, expiry('snapshot'), listed), keys.snapshot),
    expiry('snapshot'),
    'server',
  );
  const timestamp = metafile(
    'timestamp',
    envelope(renderTimestamp(1n, expiry('timestamp'), fileMetaOf(snapshot.bytes)), keys.timestamp),
    expiry('timestamp'),
    'server',
  );
  const certificatesExpire = CERTIFICATES_EXPIRE.toISOString();
  const metafiles = [{ ...root, certificatesExpire }, targets, snapshot, timestamp];
  add(publishUpdate(repository, { metafiles, at, cause }), metafiles);
  return { gun, drafts, serverKeys };
}

function evolved(repository: Repository, { version, hash, event }: Draft): Repository {
  return evolve(repository, { position: repository.position + 1, version, hash, event });
}

function metafile(
  role: RoleName,
  bytes: Uint8Array,
  expires: string,
  madeBy: NewMetafile['madeBy'],
): NewMetafile {
  const instant = new Date(expires).toISOString();
  return { role, version: 1n, sha256: sha256Of(bytes), bytes, expires: instant, madeBy };
}
