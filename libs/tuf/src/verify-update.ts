import type { Gun } from './gun.ts';
import type { KeyId } from './key.ts';
import type { Metafile, UploadedFile } from './metafile.ts';
import type { RoleName } from './role.ts';
import type { SigningRequest } from './server-roles.ts';

/** An upload, and all that decides whether it may become current. */
export interface Update {
  readonly gun: Gun;
  /** The highest stored version of each role of `rolesInPlay`; those not stored are missing. */
  readonly current: ReadonlyMap<RoleName, Metafile>;
  /** In the order of the parts: the last one of a role counts, timestamps are ignored. */
  readonly upload: readonly UploadedFile[];
  /** Keys that sign for this repository. */
  readonly serverKeys: ReadonlySet<KeyId>;
  readonly now: Date;
}

/** An update that passed every check. It becomes current once the server has signed. */
export interface VerifiedUpdate {
  /** To be stored as uploaded: root, targets roles, snapshot, as far as they were. */
  readonly metafiles: readonly Metafile[];
  readonly request: SigningRequest;
  /** The root that holds from now on, uploaded or stored: what the signatures must verify against. */
  readonly root: Metafile;
}

/** The stored roles that `verifyUpdate` has to see for an upload of these roles. */
export function rolesInPlay(_uploaded: readonly RoleName[]): readonly RoleName[] {
  throw new Error('not written yet');
}

/** May this update follow what is stored? Throws `TufError` where it may not. */
export function verifyUpdate(_update: Update): VerifiedUpdate {
  throw new Error('not written yet');
}
