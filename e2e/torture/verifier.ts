import { createHash, createPublicKey, verify, X509Certificate, type KeyObject } from 'node:crypto';

// A second opinion: what a TUF client checks, written anew with nothing but node:crypto, so that a
// mistake in libs/tuf cannot hide itself here.

type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

interface Key {
  readonly keytype: string;
  readonly keyval: { readonly private: null; readonly public: string };
}

interface Trust {
  readonly keys: Readonly<Record<string, Key>>;
  readonly keyids: readonly string[];
  readonly threshold: number;
}

interface FileEntry {
  readonly length: number;
  readonly hashes: { readonly sha256: string };
}

interface Signed {
  readonly _type: string;
  readonly version: number;
  readonly expires: string;
}

interface Root extends Signed {
  readonly keys: Readonly<Record<string, Key>>;
  readonly roles: Readonly<Record<string, { keyids: readonly string[]; threshold: number }>>;
}

interface Listing extends Signed {
  readonly meta: Readonly<Record<string, FileEntry>>;
}

interface Targets extends Signed {
  readonly delegations?: {
    readonly keys: Readonly<Record<string, Key>>;
    readonly roles: readonly { name: string; keyids: readonly string[]; threshold: number }[];
  };
}

/** What a client makes of one state of a collection. `versions` by role. */
export interface Verified {
  readonly versions: ReadonlyMap<string, number>;
}

export class VerificationError extends Error {
  override readonly name = 'VerificationError';
}

/** The lower-case hex of the SHA-256. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The checksums that a timestamp or snapshot lists, in hex, by role. */
export function listed(bytes: Uint8Array): ReadonlyMap<string, string> {
  const { meta } = signedPart(bytes) as unknown as Listing;
  return new Map(
    Object.entries(meta).map(([role, { hashes }]) => [
      role,
      Buffer.from(hashes.sha256, 'base64').toString('hex'),
    ]),
  );
}

/** Reads version and nothing else. */
export function versionOf(bytes: Uint8Array): number {
  return (signedPart(bytes) as unknown as Signed).version;
}

/** A root is signed by its own root keys and, unless it is the first, by those of the one before. */
export function verifyRoot(bytes: Uint8Array, previous?: Uint8Array): void {
  const root = signedPart(bytes) as unknown as Root;
  expectSigned('root', bytes, trustOf(root, 'root'));
  if (previous === undefined) return;
  const before = signedPart(previous) as unknown as Root;
  expectSigned('root', bytes, trustOf(before, 'root'));
  if (root.version !== before.version + 1) {
    throw new VerificationError(`root ${root.version} follows root ${before.version}`);
  }
}

/**
 * Follows timestamp, snapshot, root, targets and delegations as a client does: signatures, types,
 * checksums, lengths, expiries. Throws `VerificationError`.
 */
export function verifyState(files: ReadonlyMap<string, Uint8Array>, now: Date): Verified {
  const rootBytes = fileOf(files, 'root');
  verifyRoot(rootBytes);
  const root = signedPart(rootBytes) as unknown as Root;
  const versions = new Map([['root', expectCurrent('root', rootBytes, 'Root', now)]]);

  const follow = (role: string, type: string, trust: Trust) => {
    const bytes = fileOf(files, role);
    expectSigned(role, bytes, trust);
    versions.set(role, expectCurrent(role, bytes, type, now));
    return signedPart(bytes);
  };
  const timestamp = follow('timestamp', 'Timestamp', trustOf(root, 'timestamp'));
  expectListed(timestamp as unknown as Listing, files, ['snapshot']);
  const snapshot = follow('snapshot', 'Snapshot', trustOf(root, 'snapshot'));
  const named = Object.keys((snapshot as unknown as Listing).meta);
  expectListed(snapshot as unknown as Listing, files, named);

  const visit = (role: string, trust: Trust): void => {
    const { delegations } = follow(role, 'Targets', trust) as unknown as Targets;
    for (const { name, keyids, threshold } of delegations?.roles ?? []) {
      if (!files.has(name)) continue; // delegated to, and never published
      visit(name, { keys: delegations?.keys ?? {}, keyids, threshold });
    }
  };
  visit('targets', trustOf(root, 'targets'));
  const orphan = named.find((role) => !versions.has(role));
  if (orphan !== undefined) throw new VerificationError(`nobody delegates to ${orphan}`);
  return { versions };
}

function fileOf(files: ReadonlyMap<string, Uint8Array>, role: string): Uint8Array {
  const bytes = files.get(role);
  if (bytes === undefined) throw new VerificationError(`there is no ${role}`);
  return bytes;
}

function trustOf({ keys, roles }: Root, role: string): Trust {
  const { keyids, threshold } = roles[role] ?? { keyids: [], threshold: 1 };
  return { keys, keyids, threshold };
}

function expectCurrent(role: string, bytes: Uint8Array, type: string, now: Date): number {
  const { _type, version, expires } = signedPart(bytes) as unknown as Signed;
  if (_type !== type) throw new VerificationError(`${role} is a ${_type}`);
  if (!(Date.parse(expires) > now.getTime())) {
    throw new VerificationError(`${role} ${version} has expired: ${expires}`);
  }
  return version;
}

function expectListed(
  { meta, _type, version }: Listing,
  files: ReadonlyMap<string, Uint8Array>,
  roles: readonly string[],
): void {
  for (const role of roles) {
    const bytes = fileOf(files, role);
    const entry = meta[role];
    const found = createHash('sha256').update(bytes).digest('base64');
    if (entry?.hashes.sha256 !== found || entry.length !== bytes.length) {
      throw new VerificationError(`${_type} ${version} lists another ${role} than there is`);
    }
  }
}

function expectSigned(role: string, bytes: Uint8Array, { keys, keyids, threshold }: Trust): void {
  const { signed, signatures } = JSON.parse(Buffer.from(bytes).toString()) as {
    signed: Json;
    signatures: { keyid: string; method: string; sig: string }[];
  };
  const payload = Buffer.from(canonical(signed));
  const good = new Set<string>();
  for (const { keyid, method, sig } of signatures) {
    const key = keys[keyid];
    if (key === undefined || !keyids.includes(keyid)) continue;
    if (sha256(Buffer.from(canonical(key as unknown as Json))) !== keyid) {
      throw new VerificationError(`${role}: the key ${keyid} has another id`);
    }
    if (isGood(key, method, payload, Buffer.from(sig, 'base64'))) good.add(keyid);
  }
  if (threshold < 1 || good.size < threshold) {
    throw new VerificationError(`${role}: ${good.size} good signatures of ${threshold}`);
  }
}

function isGood(key: Key, method: string, payload: Buffer, signature: Buffer): boolean {
  if (key.keytype.startsWith('ecdsa') && method === 'ecdsa') {
    const options = { key: publicKey(key), dsaEncoding: 'ieee-p1363' } as const;
    return verify('sha256', payload, options, signature);
  }
  if (key.keytype === 'ed25519' && method === 'eddsa') {
    return verify(null, payload, publicKey(key), signature);
  }
  throw new VerificationError(`${method} by a key of type ${key.keytype}`);
}

/** What comes before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410). */
const ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

function publicKey({ keytype, keyval }: Key): KeyObject {
  const bytes = Buffer.from(keyval.public, 'base64');
  switch (keytype) {
    case 'ecdsa-x509':
      return new X509Certificate(bytes).publicKey;
    case 'ecdsa':
      return createPublicKey({ key: bytes, format: 'der', type: 'spki' });
    case 'ed25519':
      return createPublicKey({ key: Buffer.concat([ED25519, bytes]), format: 'der', type: 'spki' });
    default:
      throw new VerificationError(`a key of type ${keytype}`);
  }
}

function signedPart(bytes: Uint8Array): Readonly<Record<string, Json>> {
  return (JSON.parse(Buffer.from(bytes).toString()) as { signed: Record<string, Json> }).signed;
}

/** Members sorted by name, no white space, in strings only `"` and `\` escaped. */
function canonical(value: Json): string {
  if (typeof value === 'string') return `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const members = Object.keys(value).toSorted();
  return `{${members.map((name) => `${canonical(name)}:${canonical(value[name] ?? null)}`).join(',')}}`;
}
