import { MAX_INT64 } from './envelope.ts';
import { Refusal, TufError } from './errors.ts';
import { fileMetaOf, type FileMeta } from './file-meta.ts';
import { quoteCharacter } from './json.ts';
import { keyId, type KeyId } from './key.ts';
import type { Metafile } from './metafile.ts';
import type { ServerRole } from './role.ts';
import { topLevelSigners, type Root } from './root.ts';
import type { SnapshotToSign, TimestampToSign } from './server-roles.ts';
import { readStoredSnapshot, renderSnapshot } from './snapshot.ts';
import { addDays, renderTime } from './times.ts';

/** Lifetimes of what the server makes, in days (WIRE §8.1). */
export const SERVER_ROLE_LIFETIME: Readonly<Record<ServerRole, number>> = {
  timestamp: 14,
  snapshot: 3 * 365,
};

/** Who signs the next version, and when it is made. */
export interface Occasion {
  readonly root: Root;
  readonly serverKeys: ReadonlySet<KeyId>;
  readonly now: Date;
}

/**
 * The ids of a role's keys that the server holds; undefined where they do not reach the threshold.
 * A key that root files under an id not its own is not counted: nobody would find its signature.
 */
function heldKeys(
  role: ServerRole,
  { root, serverKeys }: Pick<Occasion, 'root' | 'serverKeys'>,
): readonly KeyId[] | undefined {
  const { keys, threshold } = topLevelSigners(root, role);
  const held = [...keys]
    .map(([filed, key]) => ({ filed, id: keyId(key) }))
    .filter(({ filed, id }) => filed === id && serverKeys.has(id))
    .map(({ id }) => id);
  return held.length < threshold ? undefined : held;
}

/**
 * The snapshot that follows `previous`: entries of `files` are made anew, all others are kept, those
 * of delegations that no longer exist as well (WIRE §8.2). Undefined where the server does not hold
 * the keys. Throws `Refusal`.
 */
export function nextSnapshot(
  previous: Metafile | undefined,
  files: readonly Metafile[],
  occasion: Occasion,
): SnapshotToSign | undefined {
  if (previous === undefined && !files.some(({ role }) => role === 'targets')) {
    throw new Refusal('targets must be loaded first');
  }
  const meta = new Map<string, FileMeta>(previous && readStoredSnapshot(previous));
  for (const { role, bytes } of files) meta.set(role, fileMetaOf(bytes));

  const keyids = heldKeys('snapshot', occasion);
  if (keyids === undefined) return undefined;
  const version = nextVersion(previous?.version);
  const signed = renderSnapshot(version, expiry('snapshot', occasion.now), meta);
  checkWritable(signed);
  return { version, signed, keyids };
}

/** The timestamp that follows version `previous`; undefined where the server does not hold the keys. */
export function nextTimestamp(
  previous: bigint | undefined,
  occasion: Occasion,
): Omit<TimestampToSign, 'snapshot'> | undefined {
  const keyids = heldKeys('timestamp', occasion);
  if (keyids === undefined) return undefined;
  return { version: nextVersion(previous), expires: expiry('timestamp', occasion.now), keyids };
}

function nextVersion(previous = 0n): bigint {
  const version = previous + 1n;
  if (version > MAX_INT64) throw new TufError('OLD_VERSION', 'there is no higher version');
  return version;
}

function expiry(role: ServerRole, now: Date): string {
  return renderTime(addDays(now, SERVER_ROLE_LIFETIME[role]));
}

/** Canonical JSON has control characters raw, and then no file can hold it. */
function checkWritable(signed: string): void {
  const control = /[^ -\uffff]/.exec(signed)?.[0];
  if (control === undefined) return;
  const reason = `invalid character ${quoteCharacter(control)} in string literal`;
  throw new Refusal(`json: error calling MarshalJSON for type *json.RawMessage: ${reason}`);
}
