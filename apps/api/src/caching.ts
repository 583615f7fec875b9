import type { PublishedFile } from '@scrivener/read-model';

/** How long caches may keep an answer, in seconds; 0 forbids it. */
export interface CachePolicy {
  /** What `timestamp.json` and the like name today. */
  readonly current: number;
  /** What a version or a checksum names for ever. */
  readonly consistent: number;
}

type Headers = Record<string, string>;

/**
 * The caching headers of WIRE §3, and an ETag, which is ours: the checksum is as strong a validator as
 * there can be. Only the answers of the three download routes have them.
 */
export function cachingHeaders(
  policy: CachePolicy,
  kind: keyof CachePolicy,
  { publishedAt, sha256 }: Pick<PublishedFile, 'publishedAt' | 'sha256'>,
): Headers {
  return {
    ...control(policy[kind], kind),
    'Last-Modified': lastModified(publishedAt),
    ETag: entityTag(sha256),
  };
}

/**
 * Whether a client that sends this `If-None-Match` has the file already (RFC 9110 §13.1.2). A tag
 * holds no quote, so ours is in the list if and only if it is in the text; the comparison is weak,
 * for a proxy that compresses makes a strong tag weak.
 */
export function isAtHand(
  ifNoneMatch: string | undefined,
  { sha256 }: Pick<PublishedFile, 'sha256'>,
): boolean {
  return ifNoneMatch?.trim() === '*' || (ifNoneMatch?.includes(entityTag(sha256)) ?? false);
}

function entityTag(sha256: PublishedFile['sha256']): string {
  return `"${sha256}"`;
}

function control(maxAge: number, kind: keyof CachePolicy): Headers {
  if (maxAge === 0) {
    return { 'Cache-Control': 'max-age=0, no-cache, no-store', Pragma: 'no-cache' };
  }
  const shared = `public, max-age=${maxAge}, s-maxage=${maxAge}`;
  return { 'Cache-Control': kind === 'current' ? `${shared}, must-revalidate` : shared };
}

/**
 * RFC 1123 with the zone's own name, as the old server on a UTC host wrote it. To HTTP that is no date,
 * so a cache may ignore it, and nobody revalidates by it here: two publishes fit into one second.
 */
function lastModified(date: Date): string {
  return date.toUTCString().replace(/GMT$/, 'UTC');
}
