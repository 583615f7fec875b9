import {
  deleteRepository,
  emptyRepository,
  evolve,
  publishUpdate,
  type EventStore,
  type NewMetafile,
  type Repository,
} from '@scrivener/events';
import { gunOf, metafile } from '@scrivener/events/testing';
import type { Gun, RoleName } from '@scrivener/tuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDays, spreadOf, type Expiries, type ExpiryPlace } from './expiries.ts';
import type { TestReadModel } from './read-model.contract.ts';
import type { ReadModel } from './read-model.ts';

const START = new Date('2026-11-22T00:00:00.000Z');
const inDays = (days: number) => addDays(START, days);
const rolesOf = (expiries: readonly ExpiryPlace[]) =>
  expiries.map(({ gun, role, subject }) => `${gun} ${role} ${subject}`);

/** The day on which ten days are over but for three and the GUN's share of four more. */
const dueAt = (gun: Gun) => 10 * (1 - 0.3 - 0.4 * spreadOf(gun));

/** What every adapter of `Expiries` does. */
export function expiriesContract(make: () => Promise<TestReadModel>): void {
  let made: TestReadModel;
  let readModel: ReadModel;
  let expiries: Expiries;
  const repositories = new Map<Gun, Repository>();
  const a = gunOf('a');
  const b = gunOf('b');

  beforeEach(async () => {
    made = await make();
    readModel = await made.open();
    ({ expiries } = readModel);
    repositories.clear();
  });
  afterEach(async () => {
    await readModel.close();
    await made.remove();
  });

  const projectAll = async () => {
    while ((await readModel.project()) !== 'idle');
  };

  type Lives = Partial<Record<RoleName | 'certificates', number>>;

  /** The next versions of these roles, made on a day after the start, good for so many days. */
  const publish = async (gun: Gun, lives: Lives, day = 0, events: EventStore = made.events) => {
    const repository = repositories.get(gun) ?? emptyRepository(gun);
    const { certificates, ...roles } = lives;
    const at = inDays(day).toISOString();
    const metafiles = Object.entries(roles).map(([name, days = 0]): NewMetafile => {
      const role = name as RoleName;
      const version = (repository.current.get(role)?.version ?? 0n) + 1n;
      const expires = inDays(day + days).toISOString();
      const file = { ...metafile(role, version, `${gun} ${repository.head.version}`), expires };
      if (role !== 'root' || certificates === undefined) return file;
      return { ...file, certificatesExpire: inDays(day + certificates).toISOString() };
    });
    const event = publishUpdate(repository, { metafiles, at, cause: {} });
    repositories.set(
      gun,
      evolve(repository, await events.append(repository.head, event, metafiles)),
    );
  };
  const remove = async (gun: Gun) => {
    const repository = repositories.get(gun) ?? emptyRepository(gun);
    const event = deleteRepository(repository, { at: START.toISOString(), cause: {} });
    if (event === undefined) throw new Error('nothing to delete');
    repositories.set(gun, evolve(repository, await made.events.append(repository.head, event, [])));
  };

  const ofClients = (before: Date, limit = 100, after?: ExpiryPlace) =>
    expiries.soonest({ madeBy: 'client', before, limit, after });
  const ofServer = (before: Date) => expiries.soonest({ madeBy: 'server', before, limit: 100 });

  describe('soonest', () => {
    test('says all about what is current, and of a root when its certificates expire', async () => {
      await publish(a, { root: 100, certificates: 50, targets: 75, timestamp: 14 }, 2);
      await projectAll();

      const common = { gun: a, version: 1n, madeBy: 'client', publishedAt: inDays(2) };
      expect(await ofClients(inDays(1_000))).toEqual([
        { ...common, role: 'root', subject: 'certificates', expiresAt: inDays(52) },
        { ...common, role: 'targets', subject: 'metadata', expiresAt: inDays(77) },
        { ...common, role: 'root', subject: 'metadata', expiresAt: inDays(102) },
      ]);
      expect(await ofServer(inDays(1_000))).toEqual([
        {
          ...common,
          role: 'timestamp',
          subject: 'metadata',
          madeBy: 'server',
          expiresAt: inDays(16),
        },
      ]);
    });

    test('has what expires by then, what has expired, and nothing that was followed', async () => {
      await publish(a, { targets: 10, 'targets/a': 20 });
      await publish(a, { targets: 30 }, 5);
      await projectAll();

      expect(rolesOf(await ofClients(inDays(20)))).toEqual(['a targets/a metadata']);
      expect(rolesOf(await ofClients(inDays(35)))).toEqual([
        'a targets/a metadata',
        'a targets metadata',
      ]);
    });

    test('has nothing of a repository that was deleted, and all when it comes back', async () => {
      await publish(a, { root: 10, certificates: 10, targets: 10 });
      await publish(b, { targets: 5 });
      await projectAll();
      await remove(a);
      await projectAll();
      expect(rolesOf(await ofClients(inDays(100)))).toEqual(['b targets metadata']);

      await publish(a, { 'targets/a': 10 });
      await remove(a);
      await publish(a, { targets: 1 });
      await projectAll();
      expect(rolesOf(await ofClients(inDays(100)))).toEqual([
        'a targets metadata',
        'b targets metadata',
      ]);
    });

    test('goes on behind any place, page by page', async () => {
      for (const gun of [a, b, gunOf('c')]) await publish(gun, { targets: 10, 'targets/a': 10 });
      await publish(a, { root: 20, certificates: 20 });
      await projectAll();
      const all = await ofClients(inDays(100));
      expect(all).toHaveLength(8);

      const paged: string[] = [];
      let last: ExpiryPlace | undefined;
      for (;;) {
        const page = await ofClients(inDays(100), 3, last);
        if (page.length === 0) break;
        paged.push(...rolesOf(page));
        last = page.at(-1);
      }

      expect(paged).toEqual(rolesOf(all));
      expect(new Set(paged).size).toBe(8);
    });

    test('is the same after a replay', async () => {
      await publish(a, { root: 100, certificates: 50, targets: 75, timestamp: 14 });
      await publish(b, { targets: 75 });
      await publish(a, { targets: 80, timestamp: 14 }, 1);
      await remove(b);
      await projectAll();
      const before = [await ofClients(inDays(1_000)), await ofServer(inDays(1_000))];

      await readModel.replay();

      expect([await ofClients(inDays(1_000)), await ofServer(inDays(1_000))]).toEqual(before);
    });
  });

  test('a summary counts what has expired, what will and what comes next', async () => {
    expect(await expiries.summary(START, [7])).toEqual({
      next: { client: undefined, server: undefined },
      expired: { client: 0, server: 0 },
      within: new Map([[7, 0]]),
    });
    await publish(a, { root: 100, certificates: 50, targets: 4, timestamp: 14, snapshot: 9 });
    await publish(b, { targets: 17, timestamp: 14 });
    await projectAll();

    expect(await expiries.summary(inDays(10), [90, 7, 30])).toEqual({
      next: { client: inDays(17), server: inDays(14) },
      expired: { client: 1, server: 1 },
      within: new Map([
        [90, 3],
        [7, 1],
        [30, 1],
      ]),
    });
  });

  describe('claims', () => {
    const policy = { lifeLeft: 1 / 3, jitter: 0 };
    const claim = (day: number, more: object = {}) =>
      expiries.claim({ now: inDays(day), until: inDays(day + 1), limit: 10, ...policy, ...more });

    test('are given for what the server signs when so much of its life is left', async () => {
      await publish(a, { targets: 9, snapshot: 900, timestamp: 9 });
      await projectAll();

      expect(await claim(5.99)).toEqual([]);
      expect(await claim(6)).toEqual([{ gun: a, roles: new Map([['timestamp', 1n]]) }]);
    });

    test('name every role that is due, and what has expired', async () => {
      await publish(a, { snapshot: 9, timestamp: 9 });
      await publish(a, { timestamp: 8 }, 2);
      await projectAll();

      expect(await claim(20)).toEqual([
        {
          gun: a,
          roles: new Map([
            ['snapshot', 1n],
            ['timestamp', 2n],
          ]),
        },
      ]);
    });

    test('are spread by the GUN, the same way each time', async () => {
      const guns = Array.from({ length: 20 }, (_, n) => gunOf(`gun/${n}`));
      for (const gun of guns) await publish(gun, { timestamp: 10 });
      await projectAll();

      for (const day of [2.9, 4, 5, 6, 7]) {
        const due = await claim(day, { limit: 100, lifeLeft: 0.3, jitter: 0.4 });
        await expiries.release(due.map(({ gun }) => gun));
        const expected = guns.filter((gun) => dueAt(gun) <= day);
        expect(due.map(({ gun }) => gun).sort()).toEqual(expected.sort());
      }
      expect(new Set(guns.map(spreadOf)).size).toBeGreaterThan(15);
    });

    test('go to one of many, soonest expiry first, never more than asked for', async () => {
      const others = await Promise.all(Array.from({ length: 3 }, () => made.open()));
      const guns = Array.from({ length: 30 }, (_, n) => gunOf(`gun/${n}`));
      for (const [n, gun] of guns.entries()) await publish(gun, { timestamp: 9 }, -n / 10);
      await projectAll();
      const query = { now: inDays(9), until: inDays(10), limit: 7, ...policy };
      const first = await expiries.claim(query);
      expect(first.map(({ gun }) => gun)).toEqual(guns.slice(-7).toReversed());

      const claims = await Promise.all(others.map((other) => other.expiries.claim(query)));

      const given = claims.flat().map(({ gun }) => gun);
      expect(new Set(given).size).toBe(given.length);
      expect(claims.every((claim) => claim.length <= 7)).toBe(true);
      expect(given.filter((gun) => guns.slice(-7).includes(gun))).toEqual([]);
      await Promise.all(others.map((other) => other.close()));
    });

    test('are over when their time is, when they are given back, and not before', async () => {
      await publish(a, { timestamp: 9 });
      await projectAll();
      expect(await claim(6)).toHaveLength(1);
      expect(await claim(6.9)).toEqual([]);
      expect(await claim(7)).toHaveLength(1);

      await expiries.release([a]);
      expect(await claim(7)).toHaveLength(1);

      await expiries.release([a], inDays(8.5));
      expect(await claim(8.4)).toEqual([]);
      expect(await claim(8.5)).toHaveLength(1);
    });
  });

  describe('alarms', () => {
    const DAYS = [90, 30, 7, 0];
    const alarms = (day: number, limit = 100) => expiries.alarms(inDays(day), DAYS, limit);
    const raise = async (day: number) => {
      const found = await alarms(day);
      await expiries.raised(found);
      return found.map(({ gun, role, subject, days }) => `${days} ${gun} ${role} ${subject}`);
    };

    test('are raised once for each number of days, and again for the next version', async () => {
      await publish(a, { targets: 100, timestamp: 14 });
      await projectAll();

      expect(await raise(9.9)).toEqual([]);
      expect(await raise(10)).toEqual(['90 a targets metadata']);
      expect(await raise(69.9)).toEqual([]);
      expect(await raise(70)).toEqual(['30 a targets metadata']);
      expect(await raise(93)).toEqual(['7 a targets metadata']);
      expect(await raise(99.9)).toEqual([]);
      expect(await raise(100)).toEqual(['0 a targets metadata']);
      expect(await raise(500)).toEqual([]);
      await publish(a, { targets: 100 }, 500);
      await projectAll();
      expect(await raise(500)).toEqual([]);
      expect(await raise(511)).toEqual(['90 a targets metadata']);
    });

    test('of what was seen late are raised for the fewest days only', async () => {
      await publish(a, { root: 100, certificates: 20, targets: 3 });
      await projectAll();

      expect(await raise(0)).toEqual(['7 a targets metadata', '30 a root certificates']);
      expect(await raise(0)).toEqual([]);
    });

    test('are looked for by one at a time, and by the next when that one is done or gone', async () => {
      const begin = (day: number) => expiries.beginWatch(inDays(day), inDays(day + 1));
      const both = await Promise.all([begin(0), begin(0)]);

      expect(both.filter(Boolean)).toHaveLength(1);
      expect(await begin(0.9)).toBe(false);
      expect(await begin(1)).toBe(true);
      await expiries.endWatch(inDays(1.1));
      expect(await begin(1.1)).toBe(true);
    });

    test('of what is gone are forgotten, and of what is there are not', async () => {
      await publish(a, { targets: 3 });
      await publish(b, { targets: 3 });
      await projectAll();
      expect(await raise(0)).toHaveLength(2);
      await remove(a);
      await projectAll();

      await expiries.forgetAlarms();

      expect(await raise(0)).toEqual([]);
      await publish(a, { targets: 3 });
      await projectAll();
      expect(await raise(0)).toEqual(['7 a targets metadata']);
    });

    test('come again for who was told and did not remember, no more than asked for', async () => {
      await publish(a, { root: 20, targets: 3 });
      await projectAll();

      expect(await alarms(0)).toHaveLength(2);
      expect(await alarms(0, 1)).toMatchObject([{ role: 'targets', days: 7 }]);
    });
  });
}
