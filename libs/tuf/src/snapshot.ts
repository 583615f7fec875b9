import * as go from './decoder.ts';
import { envelopeOf } from './envelope.ts';
import { Refusal } from './errors.ts';
import { DIGEST_BYTES, decodedFiles, digest, renderFileMeta, type FileMeta } from './file-meta.ts';
import { canonicalJson, sortedNames } from './canonical-json.ts';
import type { Metafile } from './metafile.ts';
import { topLevelSigners, type Root } from './root.ts';
import {
  checkExpiry,
  checkSignatures,
  checkTypeAndVersion,
  checkWhole,
  invalid,
  signedPart,
  type RoleFile,
} from './signed.ts';

/** What a snapshot lists, by role. */
export type SnapshotMeta = ReadonlyMap<string, FileMeta>;

const decodedSnapshot = go.struct('data.Snapshot', { meta: decodedFiles });

/** Reads types and structure (WIRE §6.5.2 and 3). Throws `Refusal`. */
export function readSnapshot(file: RoleFile): SnapshotMeta {
  const { meta } = go.decode(decodedSnapshot, signedPart(file));
  checkTypeAndVersion(file, 'Snapshot');
  for (const role of ['root', 'targets']) {
    const { hashes } = meta.get(role) ?? { hashes: new Map<string, Uint8Array>() };
    if (!hashes.has('sha256'))
      throw invalid('snapshot', `missing ${role} sha256 checksum information`);
    for (const [algorithm, length] of DIGEST_BYTES) {
      const listed = hashes.get(algorithm);
      if (listed === undefined || listed.length === length) continue;
      const wrong = `${algorithm} checksum invalid`;
      throw invalid('snapshot', `invalid ${role} checksum information, ${wrong}`);
    }
  }
  return meta;
}

/** A snapshot that was accepted before. */
export function readStoredSnapshot(metafile: Metafile): SnapshotMeta {
  return readSnapshot(roleFile(metafile));
}

/** Checks an uploaded snapshot against the files in play (WIRE §6.5). Throws `Refusal`. */
export function verifySnapshot(
  metafile: Metafile,
  root: Root,
  inPlay: readonly Metafile[],
  now: Date,
): void {
  const file = roleFile(metafile);
  checkWhole(file.envelope);
  checkSignatures(file, topLevelSigners(root, 'snapshot'));
  const meta = readSnapshot(file);
  checkExpiry(file, now);
  for (const { role, bytes } of inPlay) checkHashes(role, bytes, meta.get(role));
}

function checkHashes(role: string, bytes: Uint8Array, listed: FileMeta | undefined): void {
  const known = [...(listed?.hashes ?? [])].filter(([algorithm]) => DIGEST_BYTES.has(algorithm));
  for (const [algorithm, expected] of known) {
    if (Buffer.from(expected).equals(digest(algorithm, bytes))) continue;
    const hex = Buffer.from(expected).toString('hex');
    throw new Refusal(`${algorithm} checksum for ${role} did not match: expected ${hex}`);
  }
  if (known.length > 0) return;
  throw new Refusal(`no checksums for supported algorithms were provided for ${role}`);
}

/** The signed part of a snapshot, in canonical order (WIRE §7.3). `expires` is RFC 3339. */
export function renderSnapshot(version: bigint, expires: string, meta: SnapshotMeta): string {
  const entries = sortedNames(meta).flatMap((role) => {
    const listed = meta.get(role);
    return listed === undefined ? [] : [`${canonicalJson(role)}:${renderFileMeta(listed)}`];
  });
  const head = `"_type":"Snapshot","expires":${canonicalJson(expires)}`;
  return `{${head},"meta":{${entries.join(',')}},"version":${version}}`;
}

function roleFile(metafile: Metafile): RoleFile {
  return { role: 'snapshot', envelope: envelopeOf(metafile) };
}
