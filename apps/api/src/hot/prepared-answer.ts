import type { PublishedFile } from '@scrivener/read-model';
import { TEXT } from '../answer.ts';
import { cachingHeaders, type CachePolicy } from '../caching.ts';

/** Everything about an answer that follows from the file: headers as flat lists for `writeHead`. */
export interface PreparedAnswer {
  readonly ok: string[];
  readonly unchanged: string[];
  /**
   * As a string where it is small, one character for each byte: Node sends that in one piece with the
   * head, and a download costs a tenth less.
   */
  readonly body: string | Uint8Array;
  readonly bytes: number;
}

/** Up to which size a file is in memory twice, in bytes: what is sent is made of it once. */
const SMALL = 16 * 1024;

export function isSmall({ byteLength }: Uint8Array): boolean {
  return byteLength <= SMALL;
}

export function prepareAnswer(
  file: PublishedFile,
  kind: keyof CachePolicy,
  caching: CachePolicy,
): PreparedAnswer {
  const unchanged = Object.entries(cachingHeaders(caching, kind, file)).flat();
  const { bytes } = file;
  return {
    unchanged,
    ok: ['Content-Type', TEXT, ...unchanged, 'Content-Length', String(bytes.byteLength)],
    body: isSmall(bytes) ? Buffer.from(bytes).toString('latin1') : bytes,
    bytes: bytes.byteLength,
  };
}
