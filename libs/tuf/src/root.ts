import { LRUCache } from 'lru-cache';
import { sameKeysUntil, usableRootKeys, usableUntil } from './certificates.ts';
import * as go from './decoder.ts';
import { envelopeOf } from './envelope.ts';
import { Refusal } from './errors.ts';
import type { Gun } from './gun.ts';
import type { PublicKey } from './key.ts';
import { sha256Of, type Metafile, type Sha256 } from './metafile.ts';
import { TOP_LEVEL_ROLES, type TopLevelRole } from './role.ts';
import {
  checkExpiry,
  checkRoleKeys,
  checkSignatures,
  checkTypeAndVersion,
  checkWhole,
  decodedKeys,
  decodedRoleKeys,
  invalid,
  publicKeys,
  signedPart,
  signersOf,
  type RoleFile,
  type RoleKeys,
  type Signers,
} from './signed.ts';

/** A root of the right structure: every top-level role has a threshold and keys that are there. */
export interface Root {
  readonly version: bigint;
  readonly keys: ReadonlyMap<string, PublicKey>;
  readonly roles: Readonly<Record<TopLevelRole, RoleKeys>>;
}

const decodedRoot = go.struct('data.Root', {
  keys: decodedKeys,
  roles: go.map('map[data.RoleName]*data.RootRole', go.optional(decodedRoleKeys)),
  consistent_snapshot: go.bool,
});

/** Reads types and structure (WIRE §6.2.1 to 4). Throws `Refusal`. */
function readRoot(file: RoleFile): Root {
  const { keys, roles } = go.decode(decodedRoot, signedPart(file));
  checkTypeAndVersion(file, 'Root');
  const known = publicKeys(keys);
  const role = (name: TopLevelRole): RoleKeys => {
    const roleKeys = roles.get(name);
    if (roleKeys === undefined) throw invalid('root', `missing ${name} role specification`);
    checkRoleKeys(file, name, roleKeys, known);
    return roleKeys;
  };
  const [root, targets, snapshot, timestamp] = TOP_LEVEL_ROLES.map(role);
  if (!root || !targets || !snapshot || !timestamp) throw new Error('a top-level role was skipped');
  return {
    version: file.envelope.version,
    keys: known,
    roles: { root, targets, snapshot, timestamp },
  };
}

/** Bytes of roots that are kept read, and of those that are known to verify (ADR 0022). */
const CACHED_BYTES = 4 * 1024 * 1024;
const OVERHEAD = 1024;

const known = new LRUCache<Sha256, Root>({ maxSize: CACHED_BYTES });

/** A root that was accepted before. */
export function readStoredRoot(metafile: Metafile): Root {
  const sha256 = sha256Of(metafile.bytes);
  const root = known.get(sha256) ?? readRoot({ role: 'root', envelope: envelopeOf(metafile) });
  known.set(sha256, root, { size: metafile.bytes.length + OVERHEAD });
  return root;
}

/** A time in which a root verifies for as long as nothing about its certificates changes. */
interface Verified {
  readonly root: Root;
  readonly from: Date;
  /** Undefined where none of them will ever become valid, or expire. */
  readonly until: Date | undefined;
}

const verified = new LRUCache<string, Verified>({ maxSize: CACHED_BYTES });

/**
 * `verifyRoot` for a root that is stored already, so that the answer is the same for every update that
 * follows it, until one of its certificates becomes valid or expires. Throws `Refusal`.
 */
export function verifyStoredRoot(metafile: Metafile, gun: Gun, now: Date): Root {
  const name = `${sha256Of(metafile.bytes)} ${gun}`;
  const before = verified.get(name);
  if (before !== undefined && before.from <= now && (!before.until || now < before.until)) {
    return before.root;
  }
  const root = verifyRoot(metafile, { gun, previous: undefined, now });
  const until = sameKeysUntil(rootKeys(root), now);
  const size = metafile.bytes.length + 2 * gun.length + OVERHEAD;
  verified.set(name, { root, from: now, until }, { size });
  return root;
}

/**
 * When so many certificates of an accepted root will have expired that it no longer verifies, even
 * though it says of itself that it is good for longer (WIRE §6.2.5). Undefined where it has none.
 */
export function certificatesExpireAt(metafile: Metafile, gun: Gun): Date | undefined {
  const root = readStoredRoot(metafile);
  return usableUntil(rootKeys(root), gun, root.roles.root.threshold);
}

/** Who signs a top-level role other than root, whose keys are certificates with rules of their own. */
export function topLevelSigners(root: Root, role: Exclude<TopLevelRole, 'root'>): Signers {
  return signersOf(root.roles[role], root.keys);
}

/** What a root is judged by. */
export interface RootContext {
  readonly gun: Gun;
  /** The root it follows; undefined for the first one. */
  readonly previous: Root | undefined;
  readonly now: Date;
}

/**
 * Checks a root but for its own expiry (WIRE §6.2.1 to 8). Its certificates must not have expired,
 * not even those of a root that is stored already. Throws `Refusal`.
 */
export function verifyRoot(metafile: Metafile, { gun, previous, now }: RootContext): Root {
  const envelope = envelopeOf(metafile);
  const file = { role: 'root', envelope };
  checkWhole(envelope);
  const root = readRoot(file);

  const keys = usableRootKeys(rootKeys(root), gun, now);
  if (keys.size === 0) throw untrusted('unable to retrieve valid leaf certificates');
  if (previous !== undefined) checkRotation(file, previous, gun);
  const { threshold } = root.roles.root;
  signedBy(file, { keys, threshold }, () => untrusted('failed to validate integrity of roots'));
  return root;
}

export function checkRootExpiry(metafile: Metafile, now: Date): void {
  checkExpiry({ role: 'root', envelope: envelopeOf(metafile) }, now);
}

/** The keys that are trusted so far agree: their old threshold, whether they have expired or not. */
function checkRotation(file: RoleFile, previous: Root, gun: Gun): void {
  const keys = usableRootKeys(rootKeys(previous), gun);
  const { threshold } = previous.roles.root;
  signedBy(file, { keys, threshold }, () => {
    const reason = 'failed to validate data with current trusted certificates';
    return new Refusal(`could not rotate trust to a new trusted root: ${reason}`);
  });
}

/** Whatever is wrong with the signatures of a root, clients are told in one text. */
function signedBy(file: RoleFile, signers: Signers, refusal: () => Refusal): void {
  try {
    checkSignatures(file, signers);
  } catch (error) {
    throw error instanceof Refusal ? refusal() : error;
  }
}

function rootKeys({ keys, roles }: Root): PublicKey[] {
  return [...signersOf(roles.root, keys).keys.values()];
}

function untrusted(reason: string): Refusal {
  return new Refusal(`could not validate the path to a trusted root: ${reason}`);
}
