import {
  parseGun,
  sha256Of,
  type Gun,
  type KeyId,
  type Metafile,
  type RoleName,
  type ServerRole,
  type Sha256,
} from '@scrivener/tuf';
import type { EventStore, RecordedEvent } from '../event-store.ts';
import {
  deleteRepository,
  evolve,
  publishUpdate,
  recordKey,
  renewRoles,
  restoreRepository,
  type NewMetafile,
  type Repository,
} from '../repository.ts';
import type { RepositoryEvent } from '../repository-events.ts';

/** For tests of what lies on the log: facts about repositories, with bytes that are not TUF at all. */

export function gunOf(text: string): Gun {
  const gun = parseGun(text);
  if (gun === undefined) throw new TypeError(`not a GUN: ${text}`);
  return gun;
}

/** Different bytes for each role, version and salt; the same ones each time. */
export function metafile(role: RoleName, version: bigint, salt = ''): NewMetafile {
  const bytes = new TextEncoder().encode(`${role} ${version} ${salt}`);
  const madeBy = role === 'snapshot' || role === 'timestamp' ? 'server' : 'client';
  return { role, version, bytes, sha256: sha256Of(bytes), expires: EXPIRES, madeBy };
}

const EXPIRES = '2027-11-22T00:00:00.000Z';

/** What is known after a fact, and the files that it named. */
export interface Told {
  readonly repository: Repository;
  readonly recorded: RecordedEvent;
  readonly metafiles: readonly Metafile[];
}

/** A clock that goes on by a second each time it is read. */
export function clock(): () => string {
  let seconds = 0;
  return () => new Date(Date.UTC(2026, 10, 22) + 1_000 * (seconds += 1)).toISOString();
}

export interface Storyteller {
  /** The next versions of these roles, of snapshot and of timestamp. */
  readonly publish: (repository: Repository, roles?: readonly RoleName[]) => Promise<Told>;
  /** The next versions of these. */
  readonly renew: (repository: Repository, roles?: readonly ServerRole[]) => Promise<Told>;
  readonly makeKey: (repository: Repository, role?: ServerRole) => Promise<Told>;
  readonly remove: (repository: Repository) => Promise<Told>;
  /** Takes the deletion back. */
  readonly restore: (repository: Repository) => Promise<Told>;
}

/** Tells a log what happens to repositories. */
export function storyteller(events: EventStore, now: () => string = clock()): Storyteller {
  const add = async (
    repository: Repository,
    event: RepositoryEvent | undefined,
    metafiles: readonly Metafile[] = [],
  ): Promise<Told> => {
    if (event === undefined) throw new Error('nothing to tell');
    const recorded = await events.append(repository.head, event, metafiles);
    return { repository: evolve(repository, recorded), recorded, metafiles };
  };
  return {
    publish(repository, roles = ['targets']) {
      const names = new Set<RoleName>([...roles, 'snapshot', 'timestamp']);
      const metafiles = [...names].map((role) => next(repository, role));
      const event = publishUpdate(repository, { metafiles, at: now(), cause: {} });
      return add(repository, event, metafiles);
    },
    renew(repository, roles = ['timestamp']) {
      const metafiles = roles.map((role) => next(repository, role));
      return add(
        repository,
        renewRoles(repository, { metafiles, at: now(), cause: {} }),
        metafiles,
      );
    },
    makeKey(repository, role = 'timestamp') {
      const keyid = keyidOf(`${role} ${repository.head.version}`);
      const key = { keytype: 'ed25519', public: 'AAAA' };
      return add(repository, recordKey(repository, { role, keyid, key, at: now(), cause: {} }));
    },
    remove: (repository) => add(repository, deleteRepository(repository, { at: now(), cause: {} })),
    restore(repository) {
      const event = restoreRepository(repository, { at: now(), cause: {}, windowMs: 3_600_000 });
      return add(repository, event);
    },
  };
}

function next({ head, current }: Repository, role: RoleName): NewMetafile {
  return metafile(role, (current.get(role)?.version ?? 0n) + 1n, `${head.gun} ${head.version}`);
}

export function keyidOf(text: string): KeyId {
  const digest: Sha256 = sha256Of(new TextEncoder().encode(text));
  return digest as string as KeyId;
}
