import { keyId, type DelegationName, type Gun, type PublicKey } from '@scrivener/tuf';
import {
  createPublisher,
  writeMetafile,
  type OwnKey,
  type Part,
  type Signed,
} from '@scrivener/tuf/testing';
import type { FileRef } from './history.ts';
import { sha256, versionOf } from './verifier.ts';

export const DELEGATION = 'targets/releases' as DelegationName;

/** Targets that a file holds at most: publishing must not become slower as time passes. */
const KEPT = 20;

/** A repository under torture. */
export interface Torment {
  readonly gun: Gun;
  /** It is deleted and begun again now and then, and has no delegation. */
  readonly isVolatile: boolean;
  /** Every key that its owner ever made, by id. */
  readonly keys: Map<string, OwnKey>;
  /** The ids of all keys of the server's that a root of it has listed. */
  readonly serverKeys: Set<string>;
  /** The highest version of each role that anybody was ever shown or promised. */
  readonly seen: Map<string, number>;
  /** Changes of root that were under way, by start; `endedAt` is missing while they are. */
  readonly upheavals: { readonly startedAt: number; endedAt?: number }[];
  /** How often it was begun: the keys are new each time. */
  incarnation: number;
}

export function createTorment(gun: Gun, isVolatile: boolean): Torment {
  return {
    gun,
    isVolatile,
    keys: new Map(),
    serverKeys: new Set(),
    seen: new Map(),
    upheavals: [],
    incarnation: 0,
  };
}

/** Everything that the first publish holds. */
export function firstParts(
  torment: Torment,
  serverKeys: { readonly timestamp: PublicKey; readonly snapshot: PublicKey },
  now = new Date(),
): Part[] {
  torment.incarnation += 1;
  for (const key of Object.values(serverKeys)) torment.serverKeys.add(keyId(key));
  const seed = `${torment.gun} ${torment.incarnation}`;
  const owner = createPublisher(torment.gun, { serverKeys, seed, now });
  if (!torment.isVolatile) owner.delegate(DELEGATION);
  for (const role of ['root', 'targets', DELEGATION] as const) {
    for (const key of owner.keysOf(role)) torment.keys.set(key.keyid, key);
  }
  const parts = [owner.root(), owner.targets()];
  return torment.isVolatile ? parts : [...parts, owner.delegation(DELEGATION)];
}

interface Root extends Signed {
  readonly version: number;
  readonly keys: Readonly<Record<string, unknown>>;
  readonly roles: Readonly<Record<string, { keyids: readonly string[]; threshold: number }>>;
}

interface Targets extends Signed {
  readonly version: number;
  readonly targets: Readonly<Record<string, unknown>>;
}

export const readRoot = (bytes: Uint8Array) => signedPart(bytes) as Root;
export const readTargets = (bytes: Uint8Array) => signedPart(bytes) as Targets;

function signedPart(bytes: Uint8Array): Signed {
  return (JSON.parse(Buffer.from(bytes).toString()) as { signed: Signed }).signed;
}

const DIGEST = Buffer.alloc(32).toString('base64');

/** The next version, with one more target. */
export function nextTargets(
  role: 'targets' | DelegationName,
  current: Targets,
  target: string,
  signers: readonly OwnKey[],
): Part {
  const kept = Object.entries(current.targets).slice(1 - KEPT);
  const next = {
    ...current,
    version: current.version + 1,
    targets: Object.fromEntries([...kept, [target, { hashes: { sha256: DIGEST }, length: 1 }]]),
  };
  return { role, bytes: writeMetafile(next, signers) };
}

/** The next root; with `targetsKey` instead of the keys that sign targets today. */
export function nextRoot(torment: Torment, current: Root, targetsKey?: OwnKey): Part {
  const next = { ...current, version: current.version + 1 };
  if (targetsKey !== undefined) {
    const { keytype, public: text } = targetsKey.publicKey;
    const key = { keytype, keyval: { private: null, public: text } };
    const old = new Set(current.roles['targets']?.keyids);
    const keys = Object.entries(current.keys).filter(([keyid]) => !old.has(keyid));
    Object.assign(next, {
      keys: Object.fromEntries([...keys, [targetsKey.keyid, key]]),
      roles: { ...current.roles, targets: { keyids: [targetsKey.keyid], threshold: 1 } },
    });
  }
  return { role: 'root', bytes: writeMetafile(next, signersOf(torment, current, 'root')) };
}

/** The keys of ours that this root lets sign a role. */
export function signersOf(torment: Torment, root: Root, role: 'root' | 'targets'): OwnKey[] {
  return (root.roles[role]?.keyids ?? []).flatMap((keyid) => torment.keys.get(keyid) ?? []);
}

export function refsOf(parts: readonly Part[]): FileRef[] {
  return parts.map(({ role, bytes }) => {
    return { role, version: versionOf(bytes), sha256: sha256(bytes) };
  });
}
