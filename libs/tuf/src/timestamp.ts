import { canonicalJson } from './canonical-json.ts';
import { fileMetaOf, renderFileMeta } from './file-meta.ts';

/** The signed part of a timestamp for exactly these bytes of a snapshot (WIRE §7.3, §8.3). */
export function renderTimestamp(version: bigint, expires: string, snapshot: Uint8Array): string {
  const meta = `{"snapshot":${renderFileMeta(fileMetaOf(snapshot))}}`;
  return `{"_type":"Timestamp","expires":${canonicalJson(expires)},"meta":${meta},"version":${version}}`;
}
