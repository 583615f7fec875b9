import {
  emptyRepository,
  evolveAll,
  type AppendOptions,
  type EventStore,
  type MetafileRef,
  type RecordedEvent,
  type Repository,
  type RepositoryEvent,
} from '@scrivener/events';
import type { Memory, Reader } from '@scrivener/read-model';
import { inSpan } from '@scrivener/runtime/tracing';
import type { Gun, Metafile, RoleName, Sha256 } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';

/** Bytes of trusted metafiles that one process keeps at hand. */
const CACHED_BYTES = 16 * 1024 * 1024;
/** Larger files are read again when they are needed. */
const LARGEST_CACHED = 4 * 1024 * 1024;
/** Bytes of folded repositories that one process keeps at hand, roughly. */
const FOLDED_BYTES = 8 * 1024 * 1024;

/**
 * The write side's view of the log. What it remembers cannot go stale: bytes have their checksum as
 * name, and a folded repository is brought up to date from its stream whenever it is asked for.
 */
export interface Repositories {
  /** The repository as of the end of its stream. */
  load(gun: Gun): Promise<Repository>;
  /** What this process has seen of its stream, which may go on; the log is not asked. */
  known(gun: Gun): Repository;
  /**
   * What this process knows of it, where it has heard of nothing that happened since (ADR 0019). That may be
   * on its way: only an append tells. Undefined where nobody would tell, or the log has to be asked.
   */
  fresh(gun: Gun): Repository | undefined;
  /** The current metafiles of those roles that have one. */
  metafiles(
    repository: Repository,
    roles: readonly RoleName[],
  ): Promise<ReadonlyMap<RoleName, Metafile>>;
  /** See `EventStore.append`. Throws `WrongExpectedVersion`. */
  append(
    repository: Repository,
    event: RepositoryEvent,
    metafiles?: readonly Metafile[],
    options?: AppendOptions,
  ): Promise<RecordedEvent>;
}

/** `join`: to be told what happens to repositories; where it is absent, none is ever fresh. */
export function createRepositories(
  events: EventStore,
  join?: (memory: Memory) => Reader,
): Repositories {
  /** Of those that are folded. */
  const fresh = new Set<Gun>();
  const folded = new LRUCache<Gun, Repository>({
    maxSize: FOLDED_BYTES,
    sizeCalculation: bytesOf,
    dispose(_, gun, reason) {
      if (reason !== 'set') fresh.delete(gun);
    },
  });
  const reader = join?.({
    forget(changed) {
      for (const [gun, position] of changed) {
        if (position > (folded.peek(gun)?.position ?? 0)) fresh.delete(gun);
      }
    },
    forgetAll: () => fresh.clear(),
  });
  const trusted = new LRUCache<Sha256, Uint8Array>({
    maxSize: CACHED_BYTES,
    maxEntrySize: LARGEST_CACHED,
    sizeCalculation: (bytes) => bytes.byteLength + 100,
  });
  /** A copy, for bytes are often a piece of something larger, a request or an answer. */
  const keepBytes = (sha256: Sha256, bytes: Uint8Array): void => {
    if (bytes.byteLength <= LARGEST_CACHED && !trusted.has(sha256)) {
      trusted.set(sha256, new Uint8Array(bytes));
    }
  };

  const fetchBytes = async (refs: readonly MetafileRef[]) => {
    // Held from here on: what is kept now may be driven out while the rest is read.
    const held = new Map(refs.map(({ sha256 }) => [sha256, trusted.get(sha256)]));
    const missing = [...held].flatMap(([sha256, bytes]) => (bytes === undefined ? [sha256] : []));
    const fetched = missing.length === 0 ? new Map() : await events.readBytes(missing);
    return (sha256: Sha256): Uint8Array => {
      const bytes = held.get(sha256) ?? fetched.get(sha256);
      if (bytes === undefined) throw new Error(`the log names ${sha256} and does not hold it`);
      keepBytes(sha256, bytes);
      return bytes;
    };
  };

  /** Answers may overtake each other; what is known already is not forgotten for an older one. */
  const keep = (repository: Repository): Repository => {
    const { gun, version } = repository.head;
    if (version >= (folded.get(gun)?.head.version ?? 0)) folded.set(gun, repository);
    if (folded.has(gun)) fresh.add(gun);
    return repository;
  };

  const known = (gun: Gun) => folded.get(gun) ?? emptyRepository(gun);

  return {
    async load(gun) {
      const before = known(gun);
      const news = await events.readStream(gun, before.head.version);
      return news.length === 0 && before.head.version === 0
        ? before
        : keep(evolveAll(before, news));
    },

    known,

    fresh: (gun) => (fresh.has(gun) && reader?.mayAnswer() === true ? folded.get(gun) : undefined),

    async metafiles({ current }, roles) {
      const refs = roles.map((role) => current.get(role)).filter((ref) => ref !== undefined);
      const bytesOf = await fetchBytes(refs);
      return new Map(
        refs.map(({ role, version, sha256 }) => [
          role,
          { role, version, sha256, bytes: bytesOf(sha256) },
        ]),
      );
    },

    async append(repository, event, metafiles = [], options = {}) {
      const recorded = await inSpan(`append ${event.type}`, { 'scrivener.gun': event.gun }, () =>
        events.append(repository.head, event, metafiles, options),
      );
      keep(evolveAll(repository, [recorded]));
      for (const { sha256, bytes } of metafiles) keepBytes(sha256, bytes);
      return recorded;
    },
  };
}

/** What a folded repository takes, estimated from above. */
function bytesOf({ head, current, deletion, keys }: Repository): number {
  const files = current.size + (deletion?.took.size ?? 0);
  return 1_000 + 2 * head.gun.length + 600 * files + 800 * keys.size;
}
