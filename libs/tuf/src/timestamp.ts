import { canonicalJson } from './canonical-json.ts';
import * as go from './decoder.ts';
import { Refusal } from './errors.ts';
import { decodedFiles, DIGEST_BYTES, renderFileMeta, type FileMeta } from './file-meta.ts';
import { signedPart, type RoleFile } from './signed.ts';

const decodedTimestamp = go.struct('data.Timestamp', { meta: decodedFiles });

/** What a timestamp that somebody else made says about the snapshot. Throws `Refusal`. */
export function readTimestamp(file: RoleFile): FileMeta {
  const { meta } = go.decode(decodedTimestamp, signedPart(file));
  const snapshot = meta.get('snapshot');
  if (file.envelope.type !== 'Timestamp' || snapshot === undefined) {
    throw new Refusal('not a timestamp of a snapshot');
  }
  if (!snapshot.hashes.has('sha256')) throw new Refusal('a timestamp without a sha256');
  for (const [algorithm, bytes] of snapshot.hashes) {
    if (DIGEST_BYTES.get(algorithm) !== bytes.length) {
      throw new Refusal(`a timestamp whose ${algorithm} checksum is none`);
    }
  }
  return snapshot;
}

/** The signed part of a timestamp, in canonical order (WIRE §7.3, §8.3). `expires` is RFC 3339. */
export function renderTimestamp(version: bigint, expires: string, snapshot: FileMeta): string {
  const meta = `{"snapshot":${renderFileMeta(snapshot)}}`;
  return `{"_type":"Timestamp","expires":${canonicalJson(expires)},"meta":${meta},"version":${version}}`;
}
