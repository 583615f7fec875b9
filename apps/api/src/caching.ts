import type { PublishedFile } from '@scrivener/read-model';

/** How long caches may keep an answer, in seconds; 0 forbids it. */
export interface CachePolicy {
  /** What `timestamp.json` and the like name today. */
  readonly current: number;
  /** What a version or a checksum names for ever. */
  readonly consistent: number;
}

type Headers = Record<string, string>;

/** The caching headers of WIRE §3. Only the answers of the three download routes have them. */
export function cachingHeaders(
  policy: CachePolicy,
  kind: keyof CachePolicy,
  { publishedAt }: Pick<PublishedFile, 'publishedAt'>,
): Headers {
  return { ...control(policy[kind], kind), 'Last-Modified': lastModified(publishedAt) };
}

function control(maxAge: number, kind: keyof CachePolicy): Headers {
  if (maxAge === 0) {
    return { 'Cache-Control': 'max-age=0, no-cache, no-store', Pragma: 'no-cache' };
  }
  const shared = `public, max-age=${maxAge}, s-maxage=${maxAge}`;
  return { 'Cache-Control': kind === 'current' ? `${shared}, must-revalidate` : shared };
}

/** RFC 1123 with the zone's own name, as the old server on a UTC host wrote it. */
function lastModified(date: Date): string {
  return date.toUTCString().replace(/GMT$/, 'UTC');
}
