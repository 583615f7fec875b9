import type { RoleName } from '@scrivener/tuf';
import { describe, expect, test } from 'vitest';
import { emptyHead, eventHash } from './event-hash.ts';
import type { RecordedEvent } from './event-store.ts';
import {
  deleteRepository,
  emptyRepository,
  evolve,
  evolveAll,
  publishUpdate,
  recordKey,
  renewRoles,
  restoreRepository,
  type NewMetafile,
  type Repository,
} from './repository.ts';
import type { MetafileRef, RepositoryEvent } from './repository-events.ts';
import { gunOf, keyidOf, metafile } from './testing/facts.ts';

const gun = gunOf('docker.io/library/alpine');
const at = '2026-11-22T10:28:37.927Z';
const cause = { requestId: 'r' };
const key = { keytype: 'ed25519', public: 'AAAA' };

const refTo = ({ bytes, ...file }: NewMetafile): MetafileRef => {
  return { ...file, length: bytes.length };
};
const files = (versions: Partial<Record<RoleName, bigint>>): NewMetafile[] =>
  Object.entries(versions).map(([role, version]) => metafile(role as RoleName, version ?? 0n));
const published = (versions: Partial<Record<RoleName, bigint>>): RepositoryEvent => {
  return {
    type: 'UpdatePublished',
    gun,
    at,
    cause,
    data: { metafiles: files(versions).map(refTo) },
  };
};
const deleted: RepositoryEvent = { type: 'RepositoryDeleted', gun, at, cause, data: {} };
const windowMs = 3_600_000;
const restored = (repository: Repository) => restoreRepository(repository, { at, cause, windowMs });
const keyCreated = (name: string): RepositoryEvent => {
  return {
    type: 'KeyCreated',
    gun,
    at,
    cause,
    data: { role: 'timestamp', keyid: keyidOf(name), key },
  };
};

function recorded(events: readonly RepositoryEvent[]): RecordedEvent[] {
  let { hash } = emptyHead(gun);
  return events.map((event, index) => {
    const version = index + 1;
    hash = eventHash(hash, { gun, version, event });
    return { position: version, version, hash, event };
  });
}
const given = (...events: RepositoryEvent[]): Repository =>
  recorded(events).reduce(evolve, emptyRepository(gun));
const versions = ({ current }: Repository) =>
  Object.fromEntries(current.values().map(({ role, version }) => [role, version]));

describe('evolve', () => {
  test('keeps the newest file of each role, and the head', () => {
    const repository = given(published({ root: 1n, targets: 1n }), published({ targets: 5n }));

    expect(versions(repository)).toEqual({ root: 1n, targets: 5n });
    expect(repository.head).toEqual({
      gun,
      version: 2,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test('forgets files with a deletion, but no keys', () => {
    const repository = given(keyCreated('a'), published({ root: 3n }), deleted);

    expect(versions(repository)).toEqual({});
    expect([...repository.keys]).toEqual([[keyidOf('a'), { role: 'timestamp', key }]]);
  });

  test('takes a deletion back as if it had not been', () => {
    const events = [
      keyCreated('a'),
      published({ root: 1n, targets: 1n }),
      published({ targets: 2n }),
    ];
    const before = given(...events);
    const after = given(...events, deleted, restored(given(...events, deleted)));

    const { head: _, position: __, ...rest } = after;
    expect(rest).toEqual({ current: before.current, keys: before.keys, since: 2 });
  });

  test('leaves the repository before it as it was', () => {
    const before = given(published({ root: 1n }));
    const [, next] = recorded([published({ root: 1n }), deleted]);
    if (next === undefined) throw new Error('no event');

    evolve(before, next);

    expect(versions(before)).toEqual({ root: 1n });
  });

  test('of a whole stream gives what its events give one by one', () => {
    const events = [keyCreated('a'), published({ root: 1n }), deleted, published({ root: 2n })];

    expect(evolveAll(emptyRepository(gun), recorded(events))).toEqual(given(...events));
  });
});

describe('publishUpdate', () => {
  test('names every file by its checksum and length', () => {
    const metafiles = files({ root: 1n, targets: 7n });

    expect(publishUpdate(emptyRepository(gun), { metafiles, at, cause })).toEqual({
      type: 'UpdatePublished',
      gun,
      at,
      cause,
      data: { metafiles: metafiles.map(refTo) },
    });
  });

  test.each([1n, 2n])('refuses targets %i when version 2 is in the log', (version) => {
    const repository = given(published({ targets: 1n }), published({ targets: 2n }));

    expect(() =>
      publishUpdate(repository, { metafiles: files({ root: 9n, targets: version }), at, cause }),
    ).toThrow(expect.objectContaining({ name: 'TufError', code: 'OLD_VERSION' }));
  });

  test('lets versions start again after a deletion', () => {
    const repository = given(published({ root: 2n }), deleted);

    expect(publishUpdate(repository, { metafiles: files({ root: 1n }), at, cause })).toMatchObject({
      type: 'UpdatePublished',
    });
  });

  test('refuses two versions of one role', () => {
    const metafiles = [metafile('root', 1n), metafile('root', 2n)];

    expect(() => publishUpdate(emptyRepository(gun), { metafiles, at, cause })).toThrow(RangeError);
  });
});

describe('renewRoles', () => {
  const repository = given(published({ root: 1n, snapshot: 4n, timestamp: 9n }));

  test('makes the next versions current', () => {
    const metafiles = files({ snapshot: 5n, timestamp: 10n });

    expect(renewRoles(repository, { metafiles, at, cause })).toMatchObject({
      type: 'RoleRenewed',
      data: { metafiles: metafiles.map(refTo) },
    });
  });

  test.each([8n, 9n])('refuses timestamp %i after 9 as somebody else’s renewal', (timestamp) => {
    expect(() => renewRoles(repository, { metafiles: files({ timestamp }), at, cause })).toThrow(
      expect.objectContaining({ code: 'OLD_VERSION' }),
    );
  });

  test.each<[string, Partial<Record<RoleName, bigint>>, Repository]>([
    ['a version that skips one', { timestamp: 11n }, repository],
    ['a role that the server never signs', { root: 2n }, repository],
    ['a role that is not there', { timestamp: 1n }, emptyRepository(gun)],
  ])('refuses %s', (_, wanted, from) => {
    expect(() => renewRoles(from, { metafiles: files(wanted), at, cause })).toThrow(RangeError);
  });
});

describe('recordKey', () => {
  const newKey = { role: 'timestamp', keyid: keyidOf('a'), key, at, cause } as const;

  test('adds a key once', () => {
    expect(recordKey(emptyRepository(gun), newKey)).toEqual(keyCreated('a'));
    expect(recordKey(given(keyCreated('a')), newKey)).toBeUndefined();
  });

  test('adds none again after a deletion', () => {
    const repository = given(keyCreated('a'), published({ root: 1n }), deleted);

    expect(recordKey(repository, newKey)).toBeUndefined();
  });
});

describe('deleteRepository', () => {
  test('deletes what is there', () => {
    expect(deleteRepository(given(published({ root: 1n })), { at, cause })).toEqual(deleted);
  });

  test.each([
    ['a repository that never was', given()],
    ['one that has keys only', given(keyCreated('a'))],
    ['one that is deleted already', given(published({ root: 1n }), deleted)],
  ])('adds nothing for %s', (_, repository) => {
    expect(deleteRepository(repository, { at, cause })).toBeUndefined();
  });
});

describe('restoreRepository', () => {
  const life = [keyCreated('a'), published({ root: 1n }), published({ targets: 1n, root: 2n })];

  test('brings back what was current, and says where the rest is told', () => {
    expect(restored(given(...life, deleted))).toEqual({
      type: 'RepositoryRestored',
      gun,
      at,
      cause,
      data: { metafiles: files({ root: 2n, targets: 1n }).map(refTo), since: 2, until: 4 },
    });
  });

  test('does so again, with all that was before the first deletion', () => {
    const again = [...life, deleted, restored(given(...life, deleted)), deleted];

    expect(restored(given(...again)).data).toMatchObject({ since: 2, until: 6 });
  });

  test('of two lives takes the last', () => {
    const lives = [...life, deleted, published({ root: 1n }), deleted];

    expect(restored(given(...lives)).data).toMatchObject({ since: 5, until: 6 });
  });

  test('is possible to the end of the window, and not after it', () => {
    const later = (ms: number) => {
      const now = new Date(Date.parse(at) + ms).toISOString();
      return restoreRepository(given(...life, deleted), { at: now, cause, windowMs });
    };

    expect(later(windowMs)).toMatchObject({ type: 'RepositoryRestored' });
    expect(() => later(windowMs + 1)).toThrow(
      'was deleted at 2026-11-22T10:28:37.927Z, and that is too long ago',
    );
  });

  test.each<[string, Repository, string]>([
    ['a repository that never was', given(), 'the log has no events of'],
    ['one that has keys only', given(keyCreated('a')), 'nothing was ever published'],
    ['one that is there', given(...life), 'is not deleted'],
    ['one that was published anew', given(...life, deleted, published({ root: 1n })), 'version 5'],
    [
      'one that is restored already',
      given(...life, deleted, restored(given(...life, deleted))),
      'is not',
    ],
  ])('refuses %s', (_, repository, message) => {
    expect(() => restored(repository)).toThrow(
      expect.objectContaining({
        code: 'NOT_RESTORABLE',
        message: expect.stringContaining(message),
      }),
    );
  });
});
