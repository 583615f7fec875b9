import {
  emptyRepository,
  evolveAll,
  type EventStore,
  type MetafileRef,
  type RecordedEvent,
  type Repository,
  type RepositoryEvent,
} from '@scrivener/events';
import { inSpan } from '@scrivener/runtime/tracing';
import type { Gun, Metafile, RoleName, Sha256 } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';

/** Bytes of trusted metafiles that one process keeps at hand. */
const CACHED_BYTES = 64 * 1024 * 1024;
/** Folded repositories that one process keeps at hand. */
const CACHED_REPOSITORIES = 10_000;

/**
 * The write side's view of the log. What it remembers cannot go stale: bytes have their checksum as
 * name, and a folded repository is brought up to date from its stream whenever it is asked for.
 */
export interface Repositories {
  /** The repository as of the end of its stream. */
  load(gun: Gun): Promise<Repository>;
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
  ): Promise<RecordedEvent>;
}

export function createRepositories(events: EventStore): Repositories {
  const folded = new LRUCache<Gun, Repository>({ max: CACHED_REPOSITORIES });
  const trusted = new LRUCache<Sha256, Uint8Array>({
    maxSize: CACHED_BYTES,
    sizeCalculation: (bytes) => bytes.byteLength + 1,
  });

  const fetchBytes = async (refs: readonly MetafileRef[]) => {
    const missing = refs.map(({ sha256 }) => sha256).filter((sha256) => !trusted.has(sha256));
    const fetched = missing.length === 0 ? new Map() : await events.readBytes(missing);
    return (sha256: Sha256): Uint8Array => {
      const bytes = trusted.get(sha256) ?? fetched.get(sha256);
      if (bytes === undefined) throw new Error(`the log names ${sha256} and does not hold it`);
      trusted.set(sha256, bytes);
      return bytes;
    };
  };

  return {
    async load(gun) {
      const known = folded.get(gun) ?? emptyRepository(gun);
      const news = await events.readStream(gun, known.head.version);
      const repository = news.length === 0 ? known : evolveAll(known, news);
      folded.set(gun, repository);
      return repository;
    },

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

    append: ({ head }, event, metafiles = []) =>
      inSpan(`append ${event.type}`, { 'scrivener.gun': event.gun }, () =>
        events.append(head, event, metafiles),
      ),
  };
}
