import { canonicalJson } from '../canonical-json.ts';
import { marshalEnvelope, type WrittenSignature } from '../envelope.ts';
import { fileMetaOf } from '../file-meta.ts';
import type { Gun } from '../gun.ts';
import type { Json } from '../json.ts';
import { keyId, type PublicKey } from '../key.ts';
import {
  parentOf,
  TOP_LEVEL_ROLES,
  type DelegationName,
  type RoleName,
  type ServerRole,
  type TopLevelRole,
} from '../role.ts';
import { addDays, renderTime } from '../times.ts';
import { certifiedKey, ownKey, type OwnKey } from './keys.ts';

export { serverKey } from '../server-key.ts';
export type { OwnKey } from './keys.ts';

/** One part of an upload. */
export interface Part {
  readonly role: RoleName;
  readonly bytes: Uint8Array;
}

/** A signed part before it is signed: plain JSON, free to be changed. */
export type Signed = Record<string, unknown>;

export interface PublisherOptions {
  /** What `GET …/timestamp.key` answered; `snapshot` where the server shall sign that, too. */
  readonly serverKeys: { readonly timestamp: PublicKey; readonly snapshot?: PublicKey };
  /** Other keys for another seed; the GUN where absent. The same seed gives the same keys. */
  readonly seed?: string;
  /** Certificates start a day before, and files expire a year after; the clock where absent. */
  readonly now?: Date;
}

/** Departures from what the client would write. */
export interface FileOptions {
  /** RFC 3339. */
  readonly expires?: string;
  /** Signers instead of the role's. */
  readonly signers?: readonly OwnKey[];
  /** Changes the signed part before it is signed. */
  readonly change?: (signed: Signed) => void;
}

interface TargetsRole {
  version: number;
  readonly files: Map<string, Uint8Array>;
  /** Children by name, with the keys that sign them. */
  readonly delegations: Map<DelegationName, { keys: OwnKey[]; paths: readonly string[] }>;
}

/** Plays the Notary client of a repository's owner, and of the collaborators it delegates to. */
export function createPublisher(gun: Gun, options: PublisherOptions): Publisher {
  return new Publisher(gun, options);
}

/** The bytes of a metafile with exactly this signed part, in the form that the Go client writes. */
export function writeMetafile(signed: unknown, signers: readonly OwnKey[]): Uint8Array {
  const text = canonicalJson(toJson(signed));
  const payload = new TextEncoder().encode(text);
  const signatures: WrittenSignature[] = signers.map((key) => key.sign(payload));
  return marshalEnvelope(text, signatures);
}

/**
 * Each call that makes a file makes the next version of it, and remembers its bytes: that is what
 * a snapshot made afterwards lists. Nothing here checks anything.
 */
export class Publisher {
  readonly gun: Gun;
  readonly #seed: string;
  readonly #now: Date;
  readonly #keys: Record<TopLevelRole, OwnKey[]>;
  readonly #serverKeys: Map<ServerRole, PublicKey>;
  /** Signed the last root; the next one needs their signatures as well. */
  #formerRootKeys: readonly OwnKey[] = [];
  readonly #targetsRoles = new Map<RoleName, TargetsRole>();
  readonly #latest = new Map<RoleName, Uint8Array>();
  #rootVersion = 0;
  #snapshotVersion = 0;
  #keysMade = 0;

  constructor(gun: Gun, { serverKeys, seed = gun, now = new Date() }: PublisherOptions) {
    this.gun = gun;
    this.#seed = seed;
    this.#now = now;
    this.#serverKeys = new Map([['timestamp', serverKeys.timestamp]]);
    if (serverKeys.snapshot !== undefined) this.#serverKeys.set('snapshot', serverKeys.snapshot);
    this.#keys = {
      root: [this.#newRootKey()],
      targets: [this.newKey()],
      snapshot: [this.newKey()],
      timestamp: [],
    };
  }

  /** Keys that sign a role; none for one that the server signs. */
  keysOf(role: RoleName): readonly OwnKey[] {
    if (isTopLevel(role)) return this.#serverKeys.has(role as ServerRole) ? [] : this.#keys[role];
    return this.#targetsRole(parentOf(role)).delegations.get(role)?.keys ?? [];
  }

  newKey(): OwnKey {
    return ownKey(`${this.#seed}#${this.#keysMade++}`);
  }

  root(options: FileOptions = {}): Part {
    const present = this.#keys.root;
    const former = this.#formerRootKeys.filter((key) => !present.includes(key));
    this.#formerRootKeys = present;
    const signed = {
      _type: 'Root',
      consistent_snapshot: false,
      expires: this.#expiry(),
      keys: keysById(TOP_LEVEL_ROLES.flatMap((role) => this.#publicKeys(role))),
      roles: Object.fromEntries(
        TOP_LEVEL_ROLES.map((role) => [
          role,
          { keyids: this.#publicKeys(role).map(keyId), threshold: 1 },
        ]),
      ),
      version: ++this.#rootVersion,
    };
    return this.#file('root', signed, [...present, ...former], options);
  }

  /** Adds targets, by path, to those that are there. */
  targets(files: Readonly<Record<string, string>> = {}, options: FileOptions = {}): Part {
    return this.#targetsFile('targets', files, options);
  }

  /** As `targets`, by a collaborator; `delegate` must have come before. */
  delegation(
    role: DelegationName,
    files: Readonly<Record<string, string>> = {},
    options: FileOptions = {},
  ): Part {
    return this.#targetsFile(role, files, options);
  }

  /** Signed by the owner, of the files made last. */
  snapshot(options: FileOptions = {}): Part {
    const listed = [...this.#latest].filter(([role]) => role !== 'snapshot');
    const signed = {
      _type: 'Snapshot',
      expires: this.#expiry(),
      meta: Object.fromEntries(listed.map(([role, bytes]) => [role, fileEntry(bytes)])),
      version: ++this.#snapshotVersion,
    };
    return this.#file('snapshot', signed, this.#keys.snapshot, options);
  }

  /** The next file of the parent delegates to `role`, with a new key unless some are given. */
  delegate(
    role: DelegationName,
    { paths = [''], keys = [this.newKey()] }: { paths?: string[]; keys?: OwnKey[] } = {},
  ): void {
    this.#targetsRole(parentOf(role)).delegations.set(role, { keys, paths });
  }

  undelegate(role: DelegationName): void {
    this.#targetsRole(parentOf(role)).delegations.delete(role);
  }

  /** The next root has a new key for that role; that of root itself is signed by old and new. */
  rotate(role: 'root' | 'targets' | 'snapshot'): void {
    this.#keys[role] = [role === 'root' ? this.#newRootKey() : this.newKey()];
  }

  /** From the next root on the server signs that role with `key`. */
  handOver(role: ServerRole, key: PublicKey): void {
    this.#serverKeys.set(role, key);
  }

  /** From the next root on the owner signs snapshots again. */
  takeBackSnapshot(): void {
    this.#serverKeys.delete('snapshot');
  }

  #targetsFile(
    role: 'targets' | DelegationName,
    files: Readonly<Record<string, string>>,
    options: FileOptions,
  ): Part {
    const state = this.#targetsRole(role);
    for (const [path, content] of Object.entries(files)) {
      state.files.set(path, new TextEncoder().encode(content));
    }
    const delegations = [...state.delegations];
    const signed = {
      _type: 'Targets',
      delegations: {
        keys: keysById(delegations.flatMap(([, { keys }]) => keys.map((key) => key.publicKey))),
        roles: delegations.map(([name, { keys, paths }]) => ({
          keyids: keys.map(({ keyid }) => keyid),
          name,
          paths,
          threshold: 1,
        })),
      },
      expires: this.#expiry(),
      targets: Object.fromEntries(
        [...state.files].map(([path, content]) => [path, fileEntry(content)]),
      ),
      version: ++state.version,
    };
    return this.#file(role, signed, this.keysOf(role), options);
  }

  #file(
    role: RoleName,
    signed: Signed,
    signers: readonly OwnKey[],
    { expires, signers: others, change }: FileOptions,
  ): Part {
    if (expires !== undefined) signed['expires'] = expires;
    change?.(signed);
    const bytes = writeMetafile(signed, others ?? signers);
    this.#latest.set(role, bytes);
    return { role, bytes };
  }

  #targetsRole(role: RoleName): TargetsRole {
    const state = this.#targetsRoles.get(role) ?? {
      version: 0,
      files: new Map(),
      delegations: new Map(),
    };
    this.#targetsRoles.set(role, state);
    return state;
  }

  #publicKeys(role: TopLevelRole): PublicKey[] {
    const held = this.#serverKeys.get(role as ServerRole);
    return held === undefined ? this.#keys[role].map(({ publicKey }) => publicKey) : [held];
  }

  #newRootKey(): OwnKey {
    return certifiedKey(`${this.#seed}#${this.#keysMade++}`, {
      commonName: this.gun,
      notBefore: addDays(this.#now, -1),
      notAfter: addDays(this.#now, 3650),
    });
  }

  #expiry(): string {
    return renderTime(addDays(this.#now, 365));
  }
}

function keysById(keys: readonly PublicKey[]): Signed {
  return Object.fromEntries(
    keys.map((key) => [
      keyId(key),
      { keytype: key.keytype, keyval: { private: null, public: key.public } },
    ]),
  );
}

function fileEntry(bytes: Uint8Array): Signed {
  const { hashes, length } = fileMetaOf(bytes);
  const digests = [...hashes].map(([name, digest]) => [
    name,
    Buffer.from(digest).toString('base64'),
  ]);
  return { hashes: Object.fromEntries(digests), length: Number(length) };
}

function isTopLevel(role: RoleName): role is TopLevelRole {
  return TOP_LEVEL_ROLES.some((each) => each === role);
}

/** What `JSON.parse` would give, as our own reader gives it. */
function toJson(value: unknown): Json {
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === 'object' && value !== null) {
    return new Map(Object.entries(value).map(([name, member]) => [name, toJson(member)]));
  }
  return value as Json;
}
