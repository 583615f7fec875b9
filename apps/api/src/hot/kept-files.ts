import type { Memory, PublishedFile, Reader } from '@scrivener/read-model';
import type { Gun } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import type { CachePolicy } from '../caching.ts';
import type { Operation } from '../paths.ts';
import type { PreparedAnswer } from './prepared-answer.ts';

/** A file that may be answered with until then; for as long as nothing happens where it is absent. */
export interface ReadFile {
  readonly file: PublishedFile;
  readonly until?: Date | undefined;
}

/** A file as it is kept, under its path. */
export interface KeptFile extends Omit<PublishedFile, 'bytes'> {
  readonly gun: Gun;
  readonly operation: Operation;
  readonly kind: keyof CachePolicy;
  readonly until: Date | undefined;
  /** Whether a request target that reads like the path leads there: no escapes, and no query. */
  readonly isPlain: boolean;
  /**
   * As a string where it is small, one character for each byte: Node sends that in one piece with the
   * head, and a download costs a tenth less; and it needs no memory outside of the heap.
   */
  readonly body: string | Uint8Array;
  /** The headers of its answers, by the one policy of the process, once there was one. */
  prepared?: PreparedAnswer;
}

/** What is read under a path: everything but the file itself follows from the path. */
interface Wanted extends Pick<KeptFile, 'gun' | 'operation' | 'kind'> {
  /** The decoded path. */
  readonly path: string;
}

export interface KeptFiles {
  /** The file from memory, or what `load` finds: once for all who ask for it meanwhile. */
  read(
    wanted: Wanted,
    load: () => Promise<ReadFile | undefined>,
  ): Promise<PublishedFile | undefined>;
  /** What may be answered under this path at this moment. */
  find(path: string): KeptFile | undefined;
}

/** A reading that is under way. What it finds may be out of date once it is void. */
interface Reading {
  readonly found: Promise<ReadFile | undefined>;
  isVoid: boolean;
}

/** Everything else is escaped in a request target, or means something else there. */
const PLAIN = /^[!-~]+$/;
const MEANS_MORE = /[%?]/;

/** Up to which size a file is kept as a string, in bytes. */
const SMALL = 16 * 1024;

/** What an entry takes besides its bytes and its path, about. */
const OVERHEAD = 2_000;

/**
 * Files in memory, the most recently used up to `bytes`; all those of a repository go when something
 * happens to it. Works only while the reader may answer from memory: otherwise each reading is one
 * of its own (ADR 0019).
 */
export function createKeptFiles(
  join: (memory: Memory) => Reader,
  { bytes, now }: { readonly bytes: number; readonly now: () => Date },
): KeptFiles {
  const pathsOf = new Map<Gun, Set<string>>();
  const readings = new Map<Gun, Map<string, Reading>>();
  const files = new LRUCache<string, KeptFile>({
    maxSize: bytes,
    sizeCalculation: ({ body }, path) => body.length + 2 * path.length + OVERHEAD,
    dispose({ gun }, path, reason) {
      if (reason !== 'set') forgetPath(gun, path);
    },
  });

  const forgetPath = (gun: Gun, path: string) => {
    const paths = pathsOf.get(gun);
    paths?.delete(path);
    if (paths?.size === 0) pathsOf.delete(gun);
  };
  const forget = (gun: Gun) => {
    for (const reading of readings.get(gun)?.values() ?? []) reading.isVoid = true;
    readings.delete(gun);
    for (const path of pathsOf.get(gun) ?? []) files.delete(path);
  };
  const reader = join({
    forget: (changed) => {
      for (const gun of changed.keys()) forget(gun);
    },
    forgetAll() {
      for (const gun of readings.keys()) forget(gun);
      files.clear();
    },
  });

  const find = (path: string): KeptFile | undefined => {
    if (!reader.mayAnswer()) return undefined;
    const kept = files.get(path);
    return kept?.until !== undefined && kept.until <= now() ? undefined : kept;
  };

  const keep = ({ path, gun, operation, kind }: Wanted, { file, until }: ReadFile) => {
    const { bytes, version, sha256, publishedAt } = file;
    files.set(path, {
      gun,
      operation,
      kind,
      until,
      isPlain: isPlain(path),
      version,
      sha256,
      publishedAt,
      body: bodyOf(bytes),
    });
    if (!files.has(path)) return; // it was too big
    const paths = pathsOf.get(gun) ?? new Set();
    pathsOf.set(gun, paths.add(path));
  };

  /** Whoever comes while the reading is not void may have what it finds. */
  const begin = (wanted: Wanted, load: () => Promise<ReadFile | undefined>): Reading => {
    const { gun, path } = wanted;
    const ofGun = readings.get(gun) ?? new Map<string, Reading>();
    const attempt = async () => {
      try {
        const found = await load();
        if (!reading.isVoid && found !== undefined) keep(wanted, found);
        return found;
      } finally {
        ofGun.delete(path);
        if (ofGun.size === 0 && readings.get(gun) === ofGun) readings.delete(gun);
      }
    };
    const reading: Reading = { isVoid: false, found: Promise.resolve().then(attempt) };
    readings.set(gun, ofGun.set(path, reading));
    return reading;
  };

  return {
    find,
    async read(wanted, load) {
      const kept = find(wanted.path);
      if (kept !== undefined) return fileOf(kept);
      if (!reader.mayAnswer()) return (await load())?.file;
      const underWay = readings.get(wanted.gun)?.get(wanted.path) ?? begin(wanted, load);
      return (await underWay.found)?.file;
    },
  };
}

/** A copy: the driver's bytes may be part of much more that would be kept with them. */
function bodyOf(bytes: Uint8Array): KeptFile['body'] {
  if (bytes.byteLength <= SMALL) return Buffer.from(bytes).toString('latin1');
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

function fileOf({ body, version, sha256, publishedAt }: KeptFile): PublishedFile {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  return { bytes, version, sha256, publishedAt };
}

function isPlain(path: string): boolean {
  return PLAIN.test(path) && !MEANS_MORE.test(path);
}

/** Where nothing is kept. */
export const keepNothing: KeptFiles = {
  find: () => undefined,
  read: async (_wanted, load) => (await load())?.file,
};
