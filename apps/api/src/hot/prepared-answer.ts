import { TEXT } from '../answer.ts';
import { cachingHeaders, type CachePolicy } from '../caching.ts';
import type { KeptFile } from './kept-files.ts';

/** The headers that follow from a file, as flat lists for `writeHead`. */
export interface PreparedAnswer {
  readonly ok: string[];
  readonly unchanged: string[];
}

export function prepareAnswer(file: KeptFile, caching: CachePolicy): PreparedAnswer {
  const unchanged = Object.entries(cachingHeaders(caching, file.kind, file)).flat();
  return {
    unchanged,
    ok: ['Content-Type', TEXT, ...unchanged, 'Content-Length', String(file.body.length)],
  };
}
