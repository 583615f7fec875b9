import { canonicalJson } from './canonical-json.ts';
import {
  envelopeOf,
  marshalEnvelope,
  MAX_INT64,
  parseMetafile,
  type Envelope,
} from './envelope.ts';
import { judge, Refusal } from './errors.ts';
import { fileMetaOf } from './file-meta.ts';
import type { Gun } from './gun.ts';
import { decodeUtf8, readJson } from './json.ts';
import type { KeyId } from './key.ts';
import { sha256Of, type Metafile, type UploadedFile } from './metafile.ts';
import type { ServerRole } from './role.ts';
import { readStoredRoot, topLevelSigners } from './root.ts';
import { checkSignatures } from './signed.ts';
import { readSnapshot, renderSnapshot } from './snapshot.ts';
import { parseTime } from './times.ts';
import { readTimestamp, renderTimestamp } from './timestamp.ts';

/**
 * What the server has to sign so that an update or a renewal becomes current. Snapshot and
 * timestamp travel together: the timestamp lists the hash of the signed snapshot, so that only
 * who signs the one can make the other without a second round trip.
 */
export interface SigningRequest {
  readonly gun: Gun;
  /** Absent when the snapshot is there already: uploaded by the client, or still current. */
  readonly snapshot?: SnapshotToSign;
  readonly timestamp: TimestampToSign;
}

export interface SnapshotToSign {
  readonly version: bigint;
  /**
   * The signed part as it will stand in the file: members in canonical order (WIRE §7.3), version
   * exact. What a key signs is the canonical JSON of it (§7.2), the same but for integers that no
   * double holds.
   */
  readonly signed: string;
  readonly keyids: readonly KeyId[];
}

export interface TimestampToSign {
  readonly version: bigint;
  /** RFC 3339. */
  readonly expires: string;
  readonly keyids: readonly KeyId[];
  /** The snapshot's bytes where no snapshot is to be signed. */
  readonly snapshot?: Metafile;
}

/** A signature as it stands in an envelope: `sig` in padded standard base64. */
export interface Signature {
  readonly keyid: KeyId;
  readonly method: string;
  readonly sig: string;
}

/** The answer to a `SigningRequest`: one signature per keyid asked for, in the order asked. */
export interface ServerSignatures {
  readonly snapshot?: readonly Signature[];
  readonly timestamp: readonly Signature[];
}

/** Signs with the private key of that id, which must be one made for this repository and role. */
export type Sign = (keyid: KeyId, payload: Uint8Array) => Signature;

/**
 * What a signer checks before it signs: the request can only come to a well-formed snapshot and
 * timestamp, whoever put it into the queue. Throws `TufError`.
 */
export function checkSigningRequest({ snapshot, timestamp }: SigningRequest): void {
  judge('VALIDATION', () => {
    if ((snapshot === undefined) === (timestamp.snapshot === undefined)) {
      throw new Refusal('a timestamp needs one snapshot, to be signed or signed already');
    }
    if (snapshot !== undefined) checkSnapshotToSign(snapshot);
    if (timestamp.snapshot !== undefined) checkSignedSnapshot(timestamp.snapshot);
    checkVersionAndKeys('timestamp', timestamp);
    if (parseTime(timestamp.expires) === undefined) {
      throw new Refusal('the expiry of the timestamp is no RFC 3339 time');
    }
  });
}

/** Well-formed is what comes out the same when it is read and written again. */
function checkSnapshotToSign(snapshot: SnapshotToSign): void {
  checkVersionAndKeys('snapshot', snapshot);
  const file = parseMetafile('snapshot', marshalEnvelope(snapshot.signed, []));
  const written = rewriteSnapshot(file);
  if (file.version !== snapshot.version || written !== snapshot.signed) {
    throw new Refusal('what is to be signed is not a snapshot of that version in canonical form');
  }
}

function checkSignedSnapshot({ bytes }: Metafile): void {
  readSnapshot({ role: 'snapshot', envelope: parseMetafile('snapshot', bytes).envelope });
}

function checkVersionAndKeys(
  role: ServerRole,
  { version, keyids }: Pick<SnapshotToSign, 'version' | 'keyids'>,
): void {
  if (version < 1n || version > MAX_INT64) throw new Refusal(`${role} ${version} cannot be`);
  if (keyids.length === 0 || new Set(keyids).size !== keyids.length) {
    throw new Refusal(`the keys for the ${role} must be named, and each once`);
  }
}

/**
 * The same for one payload that somebody else composed, as an old Notary Server does: it has to be
 * the canonical JSON (WIRE §7.2) of a well-formed snapshot or timestamp. Throws `TufError`.
 */
export function checkServerPayload(role: ServerRole, payload: Uint8Array): void {
  judge('VALIDATION', () => {
    const file = parseMetafile(role, marshalEnvelope(decodeUtf8(payload), []));
    if (file.version < 1n) throw new Refusal(`${role} ${file.version} cannot be`);
    const written = role === 'snapshot' ? rewriteSnapshot(file) : rewriteTimestamp(file);
    if (!Buffer.from(payloadOf(written)).equals(payload)) {
      throw new Refusal(`what is to be signed is not a ${role} in canonical form`);
    }
  });
}

function rewriteSnapshot({ version, envelope }: UploadedFile): string {
  return renderSnapshot(version, expiry(envelope), readSnapshot({ role: 'snapshot', envelope }));
}

function rewriteTimestamp({ version, envelope }: UploadedFile): string {
  return renderTimestamp(version, expiry(envelope), readTimestamp({ role: 'timestamp', envelope }));
}

/** As it was written; the empty text, which no file comes to, where it is missing. */
function expiry({ signed }: Envelope): string {
  const expires = signed?.get('expires');
  return typeof expires === 'string' ? expires : '';
}

/** Makes the signatures that a request asks for. The caller holds the keys. */
export function signServerRoles(request: SigningRequest, sign: Sign): ServerSignatures {
  const { snapshot, timestamp } = request;
  const all = (keyids: readonly KeyId[], payload: Uint8Array) =>
    keyids.map((keyid) => sign(keyid, payload));
  if (snapshot === undefined) {
    return { timestamp: all(timestamp.keyids, timestampPayload(request, undefined)) };
  }
  const signatures = all(snapshot.keyids, snapshotPayload(snapshot));
  return {
    snapshot: signatures,
    timestamp: all(timestamp.keyids, timestampPayload(request, signatures)),
  };
}

/** What the keys of a snapshot sign: canonical JSON (WIRE §7.2). */
export function snapshotPayload({ signed }: SnapshotToSign): Uint8Array {
  return payloadOf(signed);
}

/** What the keys of the timestamp sign, once the signatures of the snapshot to be signed are there. */
export function timestampPayload(
  request: SigningRequest,
  snapshotSignatures: readonly Signature[] | undefined,
): Uint8Array {
  const { snapshot } = request;
  const made = snapshot && marshalEnvelope(snapshot.signed, snapshotSignatures ?? []);
  return payloadOf(timestampText(request, made));
}

function payloadOf(signed: string): Uint8Array {
  return new TextEncoder().encode(canonicalJson(readJson(signed).value));
}

/** The files that a request and its answer come to: the snapshot if one was asked for, the timestamp. */
export function assembleServerRoles(
  request: SigningRequest,
  signatures: ServerSignatures,
): Metafile[] {
  const { snapshot, timestamp } = request;
  const made =
    snapshot && metafile('snapshot', snapshot.version, snapshot.signed, signatures.snapshot ?? []);
  const text = timestampText(request, made?.bytes);
  return [
    ...(made === undefined ? [] : [made]),
    metafile('timestamp', timestamp.version, text, signatures.timestamp),
  ];
}

/** Whether enough keys of that root signed each of these files. Signers can be wrong, or lie. */
export function verifyServerRoles(root: Metafile, files: readonly Metafile[]): boolean {
  const trusted = readStoredRoot(root);
  return files.every((file) => {
    const { role } = file;
    if (role !== 'snapshot' && role !== 'timestamp') return false;
    const envelope = envelopeOf(file);
    try {
      checkSignatures({ role, envelope }, topLevelSigners(trusted, role));
      return envelope.version === file.version;
    } catch (error) {
      if (error instanceof Refusal) return false;
      throw error;
    }
  });
}

function timestampText(
  { timestamp }: SigningRequest,
  snapshotMade: Uint8Array | undefined,
): string {
  const bytes = snapshotMade ?? timestamp.snapshot?.bytes;
  if (bytes === undefined) throw new RangeError('a timestamp needs a snapshot');
  return renderTimestamp(timestamp.version, timestamp.expires, fileMetaOf(bytes));
}

function metafile(
  role: ServerRole,
  version: bigint,
  signed: string,
  signatures: readonly Signature[],
): Metafile {
  const bytes = marshalEnvelope(signed, signatures);
  return { role, version, bytes, sha256: sha256Of(bytes) };
}
