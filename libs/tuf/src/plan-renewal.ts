import { envelopeOf } from './envelope.ts';
import { Refusal, TufError } from './errors.ts';
import type { Gun } from './gun.ts';
import { keyId, type KeyId, type PublicKey } from './key.ts';
import type { Metafile } from './metafile.ts';
import { nextSnapshot, nextTimestamp } from './next-roles.ts';
import type { RoleName, ServerRole } from './role.ts';
import { readStoredRoot, topLevelSigners } from './root.ts';
import type { SigningRequest } from './server-roles.ts';
import { isBefore, toDate } from './times.ts';

export interface Renewal {
  readonly gun: Gun;
  /** The highest stored root, snapshot and timestamp. */
  readonly current: ReadonlyMap<RoleName, Metafile>;
  readonly serverKeys: ReadonlySet<KeyId>;
  readonly now: Date;
  /** Renewed as well, though they have not expired. */
  readonly due?: ReadonlySet<ServerRole>;
}

/**
 * What to sign because a server-made file has expired (WIRE §8.4.3 and 4) or is due; undefined where
 * nothing is, or where the server does not hold the keys: then what is there is served as it is.
 */
export function planRenewal(renewal: Renewal): SigningRequest | undefined {
  try {
    return planWhatIsDue(renewal);
  } catch (error) {
    // A download must not fail because its file cannot be renewed.
    if (error instanceof Refusal || error instanceof TufError) return undefined;
    throw error;
  }
}

function planWhatIsDue(renewal: Renewal): SigningRequest | undefined {
  const { gun, current, serverKeys, now, due = new Set() } = renewal;
  const root = current.get('root');
  const oldSnapshot = current.get('snapshot');
  const oldTimestamp = current.get('timestamp');
  if (root === undefined || oldSnapshot === undefined || oldTimestamp === undefined) {
    return undefined;
  }
  const occasion = { root: readStoredRoot(root), serverKeys, now };
  const timestamp = nextTimestamp(oldTimestamp.version, occasion);
  if (timestamp === undefined) return undefined;

  const isDue = (role: ServerRole, file: Metafile) => due.has(role) || isExpired(file, now);
  const snapshot = isDue('snapshot', oldSnapshot)
    ? nextSnapshot(oldSnapshot, [root], occasion)
    : undefined;
  if (snapshot !== undefined) return { gun, snapshot, timestamp };
  return isDue('timestamp', oldTimestamp)
    ? { gun, timestamp: { ...timestamp, snapshot: oldSnapshot } }
    : undefined;
}

/** Strictly before now. */
export function isExpired(metafile: Metafile, now: Date): boolean {
  return isBefore(envelopeOf(metafile).expires, now);
}

/** When it expires, to the millisecond; at the ends of what RFC 3339 can say where it is beyond. */
export function expiryOf(metafile: Metafile): Date {
  return toDate(envelopeOf(metafile).expires);
}

/** The first key of that role in a root whose private half the server holds (WIRE §4). */
export function serverKeyOf(
  root: Metafile,
  role: ServerRole,
  held: ReadonlySet<KeyId>,
): PublicKey | undefined {
  const { keys } = topLevelSigners(readStoredRoot(root), role);
  return [...keys.values()].find((key) => held.has(keyId(key)));
}
