import {
  deleteRepository,
  emptyRepository,
  evolve,
  publishUpdate,
  readMoment,
  recordKey,
  restoreRepository,
  type Cause,
} from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, keyidOf, storyteller } from '@scrivener/events/testing';
import { sha256Of, type RoleName } from '@scrivener/tuf';
import { describe, expect, test } from 'vitest';
import { jsonOf, withSigners } from './audit-entry.ts';
import { hasKey, mayMatch, type AuditFilter } from './audit-filter.ts';
import { linesOf, titlesOf } from './audit-table.ts';
import { createChain } from './chain.ts';
import { pagesOf } from './pages.ts';

const gun = gunOf('example.com/a/b');
const keyid = keyidOf('timestamp');
const OWNER = 'ab'.repeat(32);
const ONLOOKER = 'cd'.repeat(32);

const alice: Cause = {
  subject: 'alice',
  certificate: 'CN=ci',
  certificateSha256: '11'.repeat(32),
  remoteAddress: '192.0.2.1',
  requestId: '6637e173-efba-4efd-a4ae-802998c33a06',
  traceId: '22'.repeat(16),
};

/** A file that says who signed it, and nothing else that has to be right. */
function file(role: RoleName, text: string) {
  const bytes = new TextEncoder().encode(text);
  const expires = '2027-11-22T00:00:00.000Z';
  return { role, version: 1n, bytes, sha256: sha256Of(bytes), expires, madeBy: 'client' as const };
}
const signed = file(
  'targets/releases',
  JSON.stringify({
    signed: { _type: 'Targets', version: 1 },
    signatures: [OWNER, ONLOOKER].map((id) => ({ keyid: id, method: 'ecdsa', sig: 'AAAA' })),
  }),
);
const unreadable = file('timestamp', 'not TUF');

const at = (second: number) => `2026-11-22T00:00:0${second}.000Z`;

async function life() {
  const events = memoryEventStore();
  const key = { keytype: 'ecdsa', public: 'AAAA' };
  let repository = emptyRepository(gun);
  const add = async (event: Parameters<typeof events.append>[1], files = [signed, unreadable]) => {
    repository = evolve(repository, await events.append(repository.head, event, files));
  };
  const made = recordKey(repository, { role: 'timestamp', keyid, key, at: at(1), cause: {} });
  if (made === undefined) throw new Error('no key');
  await add(made, []);
  const metafiles = [signed, unreadable];
  await add(publishUpdate(repository, { metafiles, at: at(2), cause: alice }));
  const deleted = deleteRepository(repository, {
    at: at(3),
    cause: { certificate: 'CN=\u001B[2J' },
  });
  if (deleted === undefined) throw new Error('nothing to delete');
  await add(deleted, []);
  const cause = { operator: 'root', reason: 'a mistake' };
  await add(restoreRepository(repository, { at: at(4), cause, windowMs: 10_000 }), []);
  return { events, entries: await withSigners(events, await events.readAfter(0, 10)) };
}

const tableOf = async (form: { readonly isWide: boolean; readonly hasGuns: boolean }) => {
  const { entries } = await life();
  return [titlesOf(form), ...entries.flatMap((entry) => linesOf(entry, form))];
};

describe('the table', () => {
  test('has a line for each event, and below it its keys and files with those who signed', async () => {
    expect(await tableOf({ isWide: false, hasGuns: false })).toEqual([
      'POSITION  TIME                  KIND                WHO               REQUEST',
      '       1  2026-11-22T00:00:01Z  KeyCreated',
      `          timestamp key ${keyid.slice(0, 8)}, ecdsa`,
      '       2  2026-11-22T00:00:02Z  UpdatePublished     alice             6637e173',
      `          targets/releases 1        sha256 ${signed.sha256.slice(0, 8)}  signed by abababab, cdcdcdcd`,
      `          timestamp 1               sha256 ${unreadable.sha256.slice(0, 8)}  cannot be read`,
      String.raw`       3  2026-11-22T00:00:03Z  RepositoryDeleted   CN=\u{1b}[2J`,
      '       4  2026-11-22T00:00:04Z  RepositoryRestored  root',
      '          what version 3 deleted, because: a mistake',
      `          targets/releases 1        sha256 ${signed.sha256.slice(0, 8)}  signed by abababab, cdcdcdcd`,
      `          timestamp 1               sha256 ${unreadable.sha256.slice(0, 8)}  cannot be read`,
    ]);
  });

  test('of many repositories is not much wider than a hundred columns', async () => {
    const lines = await tableOf({ isWide: false, hasGuns: true });

    expect(lines[0]).toContain('REPOSITORY');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(104);
  });

  test('in full leaves nothing out', async () => {
    const table = (await tableOf({ isWide: true, hasGuns: true })).join('\n');

    const { certificateSha256: _, ...told } = alice;
    for (const text of [...Object.values(told), gun, keyid, OWNER, signed.sha256]) {
      expect(table).toContain(text);
    }
  });
});

test('a line of JSON has all that is known of an event, under the names of the history API', async () => {
  const { entries } = await life();
  const [made, published] = entries.map((entry): unknown => JSON.parse(jsonOf(entry)));

  expect(made).toMatchObject({
    position: 1,
    type: 'KeyCreated',
    cause: {},
    key: { role: 'timestamp', keyid, keytype: 'ecdsa' },
  });
  expect(published).toEqual({
    position: 2,
    gun,
    version: 2,
    type: 'UpdatePublished',
    at: '2026-11-22T00:00:02.000Z',
    hash: entries[1]?.hash,
    cause: {
      request_id: alice.requestId,
      subject: 'alice',
      certificate: 'CN=ci',
      certificate_sha256: alice.certificateSha256,
      remote_address: '192.0.2.1',
      trace_id: alice.traceId,
    },
    metafiles: [
      {
        role: 'targets/releases',
        version: '1',
        sha256: signed.sha256,
        length: signed.bytes.length,
        expires: signed.expires,
        made_by: 'client',
        keyids: [OWNER, ONLOOKER],
      },
      expect.not.objectContaining({ keyids: expect.anything() }),
    ],
  });
});

describe('the filter', () => {
  test.each<[string, AuditFilter, number[]]>([
    ['nothing is asked for', {}, [1, 2, 3, 4]],
    ['since a position', { since: readMoment('2') }, [2, 3, 4]],
    ['until a position', { until: readMoment('2') }, [1, 2]],
    ['since a time', { since: readMoment('2026-11-22T00:00:03Z') }, [3, 4]],
    ['until a time', { until: readMoment('2026-11-22T01:00:01+01:00') }, [1]],
    ['a kind', { kinds: ['RepositoryDeleted'] }, [3]],
    ['one of two kinds', { kinds: ['RepositoryDeleted', 'KeyCreated'] }, [1, 3]],
    ['a role that a key was made for and that was published', { roles: ['timestamp'] }, [1, 2, 4]],
    ['a delegation', { roles: ['targets/releases'] }, [2, 4]],
    ['a role that nobody has', { roles: ['targets'] }, []],
    ['a key that was made', { keys: [keyid] }, [1]],
    ['the beginning of a key that signed', { keys: [ONLOOKER.slice(0, 7)] }, [2, 4]],
    ['one of two keys', { keys: [OWNER, keyid] }, [1, 2, 4]],
    ['a key of nobody', { keys: ['0000000'] }, []],
    ['a kind and a key', { kinds: ['KeyCreated'], keys: [OWNER] }, []],
  ])('%s', async (_, filter, positions) => {
    const { entries } = await life();
    const found = entries.filter((entry) => mayMatch(filter, entry) && hasKey(filter, entry));

    expect(found.map(({ position }) => position)).toEqual(positions);
  });
});

describe('the chain', () => {
  test('is followed over pages', async () => {
    const { entries } = await life();
    const chain = createChain();
    for (const entry of entries) chain.follow([entry]);

    expect(chain).toMatchObject({ length: 4, broken: undefined });
  });

  test.each([
    ['changed', (event: { readonly at: string }) => ({ ...event, at: '2026-11-22T00:00:02.001Z' })],
    ['dropped', () => undefined],
  ])('tells from where on it does not follow: an event was %s', async (_, change) => {
    const { entries } = await life();
    const chain = createChain();
    for (const entry of entries) {
      const event = entry.position === 2 ? change(entry.event) : entry.event;
      if (event !== undefined) chain.follow([{ ...entry, event: { ...entry.event, ...event } }]);
    }

    expect(chain.broken?.position).toBe(entries.length - chain.length + 2);
  });
});

test('following goes on after a look that failed', async () => {
  const events = memoryEventStore();
  const told = await storyteller(events).publish(emptyRepository(gun));
  const stop = new AbortController();
  const errors: unknown[] = [];
  let looks = 0;
  const away = {
    readStream: events.readStream.bind(events),
    async readAfter(after: number, limit: number) {
      looks += 1;
      if (looks === 2) throw new Error('the database is away');
      return events.readAfter(after, limit);
    },
  };
  const seen: number[] = [];
  const onError = (error: unknown) => void errors.push(error);
  for await (const page of pagesOf(away, { after: 0, follow: stop.signal, onError })) {
    seen.push(...page.map(({ position }) => position));
    if (seen.length === 1) await storyteller(events).publish(told.repository);
    else stop.abort();
  }

  expect(seen).toEqual([1, 2]);
  expect(errors).toHaveLength(1);
});
