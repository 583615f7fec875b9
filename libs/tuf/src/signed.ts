import { verifySignature } from './algorithms.ts';
import { canonicalJson } from './canonical-json.ts';
import * as go from './decoder.ts';
import { encodeBase64 } from './base64.ts';
import type { Envelope } from './envelope.ts';
import { Refusal } from './errors.ts';
import { quoteCharacter, type JsonObject } from './json.ts';
import { keyId, type PublicKey } from './key.ts';
import { isBefore, showTime } from './times.ts';

/** Whose signatures a file needs, and how many. */
export interface Signers {
  /** By the id under which the file that names the signers keeps them. */
  readonly keys: ReadonlyMap<string, PublicKey>;
  readonly threshold: bigint;
}

/** The keys of one role, by their ids, as root and targets files list them. */
export interface RoleKeys {
  readonly keyids: readonly string[];
  readonly threshold: bigint;
}

/** A role's name, and the file that claims to be its. */
export interface RoleFile {
  readonly role: string;
  readonly envelope: Envelope;
}

/** Refuses text behind the document, which the first parse lets pass (WIRE §5.3). */
export function checkWhole({ trailing }: Envelope): void {
  if (trailing === undefined) return;
  throw new Refusal(`invalid character ${quoteCharacter(trailing)} after top-level value`);
}

/** The signed part. The old server crashed where it is missing; we refuse it. */
export function signedPart({ role, envelope }: RoleFile): JsonObject {
  if (envelope.signed === undefined) throw invalid(role, `${role} file contained an empty payload`);
  return envelope.signed;
}

/** Refuses a file that not enough of the role's keys have signed (WIRE §6.3.1 to 4, §7.6). */
export function checkSignatures(file: RoleFile, { keys, threshold }: Signers): void {
  if (file.envelope.signatures.length === 0) throw new Refusal('tuf: data has no signatures');
  const signed = signedPart(file);
  const payload = file.envelope.canonical ?? new TextEncoder().encode(canonicalJson(signed));

  const valid = new Set<string>();
  for (const { keyid, method, sig } of file.envelope.signatures) {
    const key = keys.get(keyid);
    if (key === undefined || valid.has(keyid)) continue;
    if (keyId(key) !== keyid) throw new Refusal('key ID is not valid for key content');
    if (verifySignature(key, method, payload, sig)) valid.add(keyid);
  }
  if (valid.size < threshold) {
    throw new Refusal(`valid signatures did not meet threshold for ${file.role}`);
  }
}

/** The texts say "1" for a root and "one" for all others. */
export function checkTypeAndVersion(
  { role, envelope }: RoleFile,
  type: 'Root' | 'Targets' | 'Snapshot',
): void {
  if (envelope.type !== type) throw invalid(role, `expected type ${type}, not ${envelope.type}`);
  const one = type === 'Root' ? '1' : 'one';
  if (envelope.version < 1n) throw invalid(role, `version cannot be less than ${one}`);
}

/** Refuses a role without a threshold, and key ids that `keys` does not have (WIRE §6.2.4). */
export function checkRoleKeys(
  { role }: RoleFile,
  name: string,
  { keyids, threshold }: RoleKeys,
  keys: ReadonlyMap<string, PublicKey>,
): void {
  if (threshold < 1n) throw invalid(role, `invalid threshold specified for ${name}: ${threshold} `);
  const unknown = keyids.find((keyid) => !keys.has(keyid));
  if (unknown !== undefined) {
    throw invalid(role, `key ID ${unknown} specified in ${name} without corresponding key`);
  }
}

export function checkExpiry({ role, envelope }: RoleFile, now: Date): void {
  if (!isBefore(envelope.expires, now)) return;
  throw new Refusal(`${role} expired at ${showTime(envelope.expires)}`);
}

export function invalid(role: string, message: string): Refusal {
  return new Refusal(`${role} type metadata invalid: ${message}`);
}

/** The keys of a role with the ids they are filed under, each once. */
export function signersOf(
  { keyids, threshold }: RoleKeys,
  keys: ReadonlyMap<string, PublicKey>,
): Signers {
  const listed = new Map<string, PublicKey>();
  for (const keyid of keyids) {
    const key = keys.get(keyid);
    if (key !== undefined) listed.set(keyid, key);
  }
  return { keys: listed, threshold };
}

const tufKey = go.struct('data.TUFKey', {
  keytype: go.text(),
  keyval: go.struct('data.KeyPair', { public: go.bytes, private: go.bytes }),
});

/** `keys` of a root or of delegations. */
export const decodedKeys = go.apart(go.map('map[string]data.TUFKey', tufKey));

export function publicKeys(
  decoded: go.Decoded<typeof decodedKeys>,
): ReadonlyMap<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  for (const [keyid, { keytype, keyval }] of decoded) {
    keys.set(keyid, { keytype, public: encodeBase64(keyval.public) });
  }
  return keys;
}

export const decodedRoleKeys = go.struct('data.RootRole', {
  keyids: go.list('[]string', go.text()),
  threshold: go.integer('int'),
});
