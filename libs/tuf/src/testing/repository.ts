import { parseMetafile } from '../envelope.ts';
import type { Guard } from '../guard.ts';
import type { Gun } from '../gun.ts';
import type { Metafile } from '../metafile.ts';
import { planRenewal } from '../plan-renewal.ts';
import type { RoleName } from '../role.ts';
import { serverKey, type ServerPrivateKey } from '../server-key.ts';
import {
  assembleServerRoles,
  checkSigningRequest,
  signServerRoles,
  verifyServerRoles,
  type SigningRequest,
} from '../server-roles.ts';
import { rolesInPlay, rolesRead, verifyUpdate, type VerifiedUpdate } from '../verify-update.ts';
import type { Part } from './publisher.ts';

/** Plays the server for one repository: what is current, and the keys it signs with. */
export class Repository {
  readonly gun: Gun;
  readonly current = new Map<RoleName, Metafile>();
  readonly timestampKey = serverKey('ed25519', Buffer.alloc(32, 1));
  readonly snapshotKey = serverKey('ecdsa', Buffer.alloc(32, 2));
  readonly #keys: ReadonlyMap<string, ServerPrivateKey>;
  now: Date;
  /** Of uploads; none unless it is set. */
  guard: Guard | undefined;

  constructor(gun: Gun, now: Date) {
    this.gun = gun;
    this.now = now;
    this.#keys = new Map(
      [this.timestampKey, this.snapshotKey].map((key) => [key.keyid as string, key]),
    );
  }

  /** Keys are told by the server's own ids. */
  get serverKeys() {
    return new Set([this.timestampKey.keyid, this.snapshotKey.keyid]);
  }

  verify(...parts: readonly Part[]): VerifiedUpdate {
    const { gun, current, serverKeys, now, guard } = this;
    const upload = parts.map(({ role, bytes }) => parseMetafile(role, bytes));
    const roles = upload.map(({ role }) => role);
    return verifyUpdate({
      gun,
      versions: only(rolesInPlay(roles), current, ({ version }) => version),
      current: only(rolesRead(roles), current, (file) => file),
      upload,
      serverKeys,
      now,
      guard,
    });
  }

  /** Verifies, has it signed and stores it. */
  publish(...parts: readonly Part[]): VerifiedUpdate {
    const verified = this.verify(...parts);
    for (const file of verified.metafiles) this.current.set(file.role, file);
    this.#sign(verified.request, verified.root);
    return verified;
  }

  /** Signs what has expired, if anything has. */
  renew(): SigningRequest | undefined {
    const { gun, current, serverKeys, now } = this;
    const request = planRenewal({ gun, current, serverKeys, now });
    if (request !== undefined) this.#sign(request, this.file('root'));
    return request;
  }

  file(role: RoleName): Metafile {
    const file = this.current.get(role);
    if (file === undefined) throw new Error(`${role} is not stored`);
    return file;
  }

  text(role: RoleName): string {
    return new TextDecoder().decode(this.file(role).bytes);
  }

  versions(): Record<string, number> {
    return Object.fromEntries(
      [...this.current].map(([role, { version }]) => [role, Number(version)]),
    );
  }

  #sign(request: SigningRequest, root: Metafile): void {
    checkSigningRequest(request);
    const signatures = signServerRoles(request, (keyid, payload) => {
      const key = this.#keys.get(keyid);
      if (key === undefined) throw new Error(`${keyid} is not a key of this server`);
      return key.sign(payload);
    });
    const files = assembleServerRoles(request, signatures);
    if (!verifyServerRoles(root, files)) throw new Error('the server signed what it must not');
    for (const file of files) this.current.set(file.role, file);
  }
}

/** No more than the rules ask for, so that tests show that it is enough. */
function only<Value>(
  roles: readonly RoleName[],
  files: ReadonlyMap<RoleName, Metafile>,
  take: (file: Metafile) => Value,
): ReadonlyMap<RoleName, Value> {
  return new Map(
    [...files].filter(([role]) => roles.includes(role)).map(([role, file]) => [role, take(file)]),
  );
}
