import { createHash } from 'node:crypto';
import { encodeBase64 } from './base64.ts';
import { canonicalJson } from './canonical-json.ts';
import * as go from './decoder.ts';

/** Hashes and length of a file, as snapshots, timestamps and targets list them. */
const decodedFileMeta = go.struct('data.FileMeta', {
  length: go.integer('int64'),
  hashes: go.map('data.Hashes', go.bytes),
  custom: go.anything,
});

export type FileMeta = go.Decoded<typeof decodedFileMeta>;

export const decodedFiles = go.map('data.Files', decodedFileMeta);

/** The algorithms that count, with the bytes of their digests. */
export const DIGEST_BYTES: ReadonlyMap<string, number> = new Map([
  ['sha256', 32],
  ['sha512', 64],
]);

/** Describes exactly these bytes. */
export function fileMetaOf(bytes: Uint8Array): FileMeta {
  const digests = [...DIGEST_BYTES.keys()].map(
    (algorithm) => [algorithm, digest(algorithm, bytes)] as const,
  );
  return { length: BigInt(bytes.length), hashes: new Map(digests), custom: undefined };
}

export function digest(algorithm: string, bytes: Uint8Array): Uint8Array {
  return createHash(algorithm).update(bytes).digest();
}

/** In canonical order (WIRE §7.3). */
export function renderFileMeta({ custom, hashes, length }: FileMeta): string {
  const digests = canonicalJson(
    new Map([...hashes].map(([algorithm, bytes]) => [algorithm, encodeBase64(bytes)])),
  );
  const head = custom === undefined ? '' : `"custom":${canonicalJson(custom)},`;
  return `{${head}"hashes":${digests},"length":${length}}`;
}
