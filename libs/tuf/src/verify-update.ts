import { judge, Refusal, TufError, type TufErrorCode } from './errors.ts';
import { checkCost, checkFileCount, checkUsable, type Guard } from './guard.ts';
import type { Gun } from './gun.ts';
import type { KeyId } from './key.ts';
import type { Metafile, UploadedFile } from './metafile.ts';
import { nextSnapshot, nextTimestamp, type Occasion } from './next-roles.ts';
import {
  ancestorsOf,
  isDelegation,
  TOP_LEVEL_ROLES,
  type DelegationName,
  type RoleName,
} from './role.ts';
import { checkRootExpiry, verifyRoot, verifyStoredRoot, type Root } from './root.ts';
import type { SigningRequest, SnapshotToSign, TimestampToSign } from './server-roles.ts';
import { verifySnapshot } from './snapshot.ts';
import { checkTargetsExpiry, verifyDelegation, verifyTargets, type Targets } from './targets.ts';

/** An upload, and all that decides whether it may become current. */
export interface Update {
  readonly gun: Gun;
  /** The highest stored version of each role of `rolesInPlay`; those not stored are missing. */
  readonly versions: ReadonlyMap<RoleName, bigint>;
  /** The files of those versions, of each role of `rolesRead`. */
  readonly current: ReadonlyMap<RoleName, Metafile>;
  /** In the order of the parts: the last one of a role counts, timestamps are ignored. */
  readonly upload: readonly UploadedFile[];
  /** Keys that sign for this repository. */
  readonly serverKeys: ReadonlySet<KeyId>;
  readonly now: Date;
  /** Limits beyond Notary's own rules; none where absent. */
  readonly guard?: Guard | undefined;
}

/** An update that passed every check. It becomes current once the server has signed. */
export interface VerifiedUpdate {
  /** To be stored as uploaded: root, targets roles, snapshot, as far as they were. */
  readonly metafiles: readonly Metafile[];
  readonly request: SigningRequest;
  /** The root that holds from now on, uploaded or stored: what the signatures must verify against. */
  readonly root: Metafile;
}

/** The stored roles whose versions `verifyUpdate` has to know for an upload of these roles. */
export function rolesInPlay(uploaded: readonly RoleName[]): RoleName[] {
  const delegations = uploaded.filter(isDelegation);
  return [...new Set([...TOP_LEVEL_ROLES, ...delegations.flatMap(ancestorsOf), ...delegations])];
}

/**
 * Those of them whose files it reads: who may sign the root, what the snapshot goes on listing, and
 * who vouches for a delegation. Of all else it makes a new one, or has one, and old files may be large.
 */
export function rolesRead(uploaded: readonly RoleName[]): RoleName[] {
  const ancestors = uploaded.filter(isDelegation).flatMap(ancestorsOf);
  const replaced = new Set(uploaded);
  return [
    'root',
    ...[...new Set<RoleName>([...ancestors, 'snapshot'])].filter((role) => !replaced.has(role)),
  ];
}

/**
 * May this update follow what is stored? The checks in their order, for the first one that fails
 * is the answer (WIRE §6.1). The guard has its say last, but for what would cost too much to verify.
 * Throws `TufError` where it may not.
 */
export function verifyUpdate(update: Update): VerifiedUpdate {
  const { gun, versions, current, serverKeys, now, guard } = update;
  const uploaded = new Map<RoleName, UploadedFile>(update.upload.map((file) => [file.role, file]));
  if (guard !== undefined) checkCosts(uploaded, guard);

  const { root, file: rootFile } = establishRoot(update, uploaded.get('root'));
  const targets = loadTargets(update, uploaded, root);
  const inPlay = [rootFile, ...targets];

  const occasion = { root, serverKeys, now };
  const snapshot = uploaded.get('snapshot');
  if (snapshot !== undefined) {
    judge('BAD_SNAPSHOT', () => verifySnapshot(snapshot, root, inPlay, now));
  }
  const request =
    snapshot === undefined
      ? {
          gun,
          snapshot: planSnapshot(current.get('snapshot'), inPlay, occasion),
          timestamp: planTimestamp(versions.get('timestamp'), occasion),
        }
      : { gun, timestamp: { ...planTimestamp(versions.get('timestamp'), occasion), snapshot } };

  const metafiles = [...inPlay, ...(snapshot === undefined ? [] : [snapshot])]
    .map(({ role }) => uploaded.get(role))
    .filter((file) => file !== undefined);
  checkVersions(metafiles, versions);
  if (guard !== undefined) {
    for (const file of metafiles) {
      judge(codeOf(file.role), () => checkUsable(file, versions.get(file.role), guard));
    }
  }
  return { metafiles, request, root: rootFile };
}

function checkCosts(uploaded: ReadonlyMap<RoleName, UploadedFile>, guard: Guard): void {
  const files = [...uploaded.values()].filter(({ role }) => role !== 'timestamp');
  judge('VALIDATION', () => checkFileCount(files, guard));
  for (const file of files) judge(codeOf(file.role), () => checkCost(file, guard));
}

function codeOf(role: RoleName): TufErrorCode {
  if (role === 'root') return 'BAD_ROOT';
  return role === 'snapshot' ? 'BAD_SNAPSHOT' : 'BAD_TARGETS';
}

interface EstablishedRoot {
  readonly root: Root;
  readonly file: Metafile;
}

/** The root that everything else is judged by: the uploaded one, if the stored one lets it follow. */
function establishRoot(
  { gun, current, now }: Update,
  uploaded: UploadedFile | undefined,
): EstablishedRoot {
  const stored = current.get('root');
  const previous = stored && judge('UNTRUSTED_STATE', () => verifyStoredRoot(stored, gun, now));

  if (uploaded !== undefined) {
    return judge('BAD_ROOT', () => {
      checkIncrement(uploaded.version, previous?.version ?? 1n);
      const root = verifyRoot(uploaded, { gun, previous, now });
      checkRootExpiry(uploaded, now);
      return { root, file: uploaded };
    });
  }
  if (stored === undefined || previous === undefined) {
    const message = 'no pre-existing root and no root provided in update.';
    throw new TufError('VALIDATION', message);
  }
  return { root: previous, file: stored };
}

/** A stored version again passes here, to end in `OLD_VERSION`; so a first root may be 1 or 2. */
function checkIncrement(next: bigint, current: bigint): void {
  if (next === current || next === current + 1n) return;
  throw new Refusal(
    `Root modifications must increment the version. Current ${current}, new ${next}`,
  );
}

/**
 * Checks the uploaded targets roles, parents first, and the stored ancestors that vouch for them.
 * Answers with all of these files: a snapshot must list each.
 */
function loadTargets(
  { current, now }: Update,
  uploaded: ReadonlyMap<RoleName, UploadedFile>,
  root: Root,
): Metafile[] {
  const loaded = new Map<RoleName, Targets>();
  const files: Metafile[] = [];
  const load = (role: TargetsRole, file: Metafile) => {
    const verified =
      role === 'targets' ? verifyTargets(file, root) : verifyDelegation(file, role, loaded);
    loaded.set(role, verified);
    files.push(file);
  };

  for (const role of [...uploaded.keys()].filter(isTargetsRole).sort(parentsFirst)) {
    const ancestors = role === 'targets' ? [] : ancestorsOf(role);
    for (const ancestor of ancestors.filter((ancestor) => !loaded.has(ancestor))) {
      const stored = current.get(ancestor);
      if (stored !== undefined) judge('UNTRUSTED_STATE', () => load(ancestor, stored));
    }
    const file = uploaded.get(role);
    if (file === undefined) continue;
    judge('BAD_TARGETS', () => {
      load(role, file);
      checkTargetsExpiry(file, now);
    });
  }
  return files;
}

type TargetsRole = 'targets' | DelegationName;

function isTargetsRole(role: RoleName): role is TargetsRole {
  return role === 'targets' || isDelegation(role);
}

/** Fewest segments first, then by name. */
function parentsFirst(a: TargetsRole, b: TargetsRole): number {
  const depth = a.split('/').length - b.split('/').length;
  return depth === 0 ? (a < b ? -1 : 1) : depth;
}

function planSnapshot(
  previous: Metafile | undefined,
  inPlay: readonly Metafile[],
  occasion: Occasion,
): SnapshotToSign {
  const next = judge('VALIDATION', () => nextSnapshot(previous, inPlay, occasion));
  if (next !== undefined) return next;
  const message =
    'no snapshot was included in update and server does not hold current snapshot key for repository';
  throw new TufError('BAD_HIERARCHY', message, { missing: 'snapshot' });
}

function planTimestamp(
  previous: bigint | undefined,
  occasion: Occasion,
): Omit<TimestampToSign, 'snapshot'> {
  const next = nextTimestamp(previous, occasion);
  if (next !== undefined) return next;
  throw new TufError('BAD_ROOT', 'no timestamp keys exist on the server');
}

/** No version is stored twice, and none below one that is stored (WIRE §9). */
function checkVersions(
  metafiles: readonly Metafile[],
  versions: ReadonlyMap<RoleName, bigint>,
): void {
  for (const { role, version } of metafiles) {
    const stored = versions.get(role);
    if (stored === undefined || stored < version) continue;
    const message = `${role} ${version} cannot follow version ${stored}, which is stored`;
    throw new TufError('OLD_VERSION', message);
  }
}
