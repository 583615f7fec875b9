import type { Gun } from './gun.ts';
import type { KeyId, PublicKey } from './key.ts';
import type { Metafile } from './metafile.ts';
import type { RoleName, ServerRole } from './role.ts';
import type { SigningRequest } from './server-roles.ts';

export interface Renewal {
  readonly gun: Gun;
  /** The highest stored root, snapshot and timestamp. */
  readonly current: ReadonlyMap<RoleName, Metafile>;
  readonly serverKeys: ReadonlySet<KeyId>;
  /** Ahead of the clock, to renew before the expiry. */
  readonly now: Date;
}

/** What to sign because a server-made file has expired; undefined where nothing can be done. */
export function planRenewal(_renewal: Renewal): SigningRequest | undefined {
  throw new Error('not written yet');
}

/** Strictly before now. */
export function isExpired(_metafile: Metafile, _now: Date): boolean {
  throw new Error('not written yet');
}

/** The first key of that role in a root whose private half the server holds (WIRE §4). */
export function serverKeyOf(
  _root: Metafile,
  _role: ServerRole,
  _held: ReadonlySet<KeyId>,
): PublicKey | undefined {
  throw new Error('not written yet');
}
