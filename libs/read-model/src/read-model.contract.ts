import {
  emptyRepository,
  publishUpdate,
  type EventStore,
  type Repository,
} from '@scrivener/events';
import { clock, gunOf, metafile, storyteller, type Storyteller } from '@scrivener/events/testing';
import type { Gun, RoleName, Sha256 } from '@scrivener/tuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Change, ReadModel } from './read-model.ts';
import { runProjection } from './run-projection.ts';

const ids = (changes: readonly Change[]) => changes.map(({ id }) => id);

/** A log and the read model of it, that nobody else uses. */
export interface TestReadModel {
  readonly events: EventStore;
  /** The read model as one more process sees it. */
  open(): Promise<ReadModel>;
  remove(): Promise<void>;
}

/** What every adapter of `ReadModel` does. */
export function readModelContract(make: () => Promise<TestReadModel>): void {
  let made: TestReadModel;
  let readModel: ReadModel;
  let tell: Storyteller;
  const gun = gunOf('a/b');
  const start = emptyRepository(gun);

  beforeEach(async () => {
    made = await make();
    readModel = await made.open();
    tell = storyteller(made.events, clock());
  });
  afterEach(async () => {
    await readModel.close();
    await made.remove();
  });

  const projectAll = async () => {
    while ((await readModel.project()) !== 'idle');
  };

  describe('files', () => {
    test('are there by name, by version and by checksum once they are projected', async () => {
      const { metafiles, recorded } = await tell.publish(start, ['root', 'targets/releases']);
      expect(await readModel.current(gun, 'root')).toBeUndefined();
      await projectAll();

      for (const { role, version, sha256, bytes } of metafiles) {
        const file = { version, sha256, publishedAt: new Date(recorded.event.at) };
        const found = [
          await readModel.current(gun, role),
          await readModel.byVersion(gun, role, version),
          await readModel.byChecksum(gun, role, sha256),
        ];
        for (const answer of found) {
          expect(answer).toEqual({ ...file, bytes: expect.anything() });
          expect([...(answer?.bytes ?? [])]).toEqual([...bytes]);
        }
      }
    });

    test('stay there when newer versions come, and the highest is current', async () => {
      let { repository } = await tell.publish(start);
      for (let n = 0; n < 10; n += 1) ({ repository } = await tell.publish(repository));
      await projectAll();

      expect((await readModel.current(gun, 'targets'))?.version).toBe(11n);
      for (let version = 1n; version <= 11n; version += 1n) {
        expect((await readModel.byVersion(gun, 'targets', version))?.version).toBe(version);
      }
    });

    test('of the server are there with the sooner of their two expiries', async () => {
      const refs = [
        { ...metafile('timestamp', 1n), expires: '2026-12-06T00:00:00.250Z' },
        { ...metafile('snapshot', 1n), expires: '2026-12-05T00:00:00.125Z' },
        { ...metafile('targets', 1n), expires: '2026-12-01T00:00:00.000Z' },
      ];
      const event = publishUpdate(start, { metafiles: refs, at: clock()(), cause: {} });
      await made.events.append(start.head, event, refs);
      await projectAll();

      const expiresAt = new Date('2026-12-05T00:00:00.125Z');
      for (const role of ['timestamp', 'snapshot'] as const) {
        const file = await readModel.current(gun, role);
        expect(await readModel.currentOfServer(gun, role)).toEqual({ ...file, expiresAt });
      }
      expect(await readModel.currentOfServer(gunOf('a/c'), 'timestamp')).toBeUndefined();
    });

    test('have versions beyond what a double can tell apart', async () => {
      const version = 9_007_199_254_740_993n;
      const file = metafile('targets', version);
      const { bytes, ...rest } = file;
      const ref = { ...rest, length: bytes.length };
      const at = '2026-11-22T00:00:00.001Z';
      await made.events.append(
        start.head,
        { type: 'UpdatePublished', gun, at, cause: {}, data: { metafiles: [ref] } },
        [file],
      );
      await projectAll();

      expect((await readModel.current(gun, 'targets'))?.version).toBe(version);
      expect(await readModel.byVersion(gun, 'targets', version - 1n)).toBeUndefined();
    });

    test.each<[string, Gun, RoleName]>([
      ['another GUN', gunOf('a/c'), 'targets'],
      ['a GUN that starts the same', gunOf('a/b/c'), 'targets'],
      ['the GUN in another case', gunOf('A/b'), 'targets'],
      ['a GUN that cannot be stored', gunOf('a\0b'), 'targets'],
      ['another role', gun, 'targets/other'],
      ['a role that cannot be stored', gun, 'targets/\0'],
      ['a role of any length', gun, `targets/${'x'.repeat(100_000)}`],
    ])('are not found under %s', async (_, otherGun, role) => {
      const { metafiles } = await tell.publish(start);
      await projectAll();
      const sha256 = metafiles[0]?.sha256 ?? ('' as Sha256);

      expect(await readModel.current(otherGun, role)).toBeUndefined();
      expect(await readModel.byVersion(otherGun, role, 1n)).toBeUndefined();
      expect(await readModel.byChecksum(otherGun, role, sha256)).toBeUndefined();
    });

    test.each([0n, 2n, -1n, 1n << 70n, -(1n << 70n)])(
      'are not found under version %s',
      async (n) => {
        await tell.publish(start);
        await projectAll();

        expect(await readModel.byVersion(gun, 'targets', n)).toBeUndefined();
      },
    );

    test('are not found under their checksum in upper case', async () => {
      const { metafiles } = await tell.publish(start);
      await projectAll();

      const sha256 = metafiles[0]?.sha256.toUpperCase() as Sha256;
      expect(await readModel.byChecksum(gun, 'targets', sha256)).toBeUndefined();
    });

    test('are not found under the checksum of another role', async () => {
      const { metafiles } = await tell.publish(start);
      await projectAll();

      const sha256 = metafiles.find(({ role }) => role === 'targets')?.sha256;
      expect(await readModel.byChecksum(gun, 'snapshot', sha256 ?? ('' as Sha256))).toBeUndefined();
    });

    test('of a GUN of any length are found', async () => {
      const long = gunOf(`${'x'.repeat(200_000)} 🐳`);
      await tell.publish(emptyRepository(long));
      await projectAll();

      expect((await readModel.current(long, 'targets'))?.version).toBe(1n);
      expect(await readModel.changes({ gun: long, changeId: 0, records: 5 })).toHaveLength(1);
    });
  });

  describe('a deletion', () => {
    const roles: readonly RoleName[] = ['root', 'targets', 'targets/releases'];
    const told = async (pause: () => Promise<void>) => {
      const one = await tell.publish(start, roles);
      await pause();
      const two = await tell.publish(one.repository, roles);
      await pause();
      const gone = await tell.remove(two.repository);
      await pause();
      const again = await tell.publish(gone.repository, ['root', 'targets']);
      await projectAll();
      return { one, two, again };
    };

    test.each([
      ['one batch', async () => {}],
      ['a batch for each event', () => projectAll()],
    ])('takes all files; what is published next begins anew (%s)', async (_, pause) => {
      const neighbour = await tell.publish(emptyRepository(gunOf('a/b/c')));
      const { two, again } = await told(pause);

      for (const { role, sha256 } of two.metafiles) {
        expect(await readModel.byVersion(gun, role, 2n)).toBeUndefined();
        expect(await readModel.byChecksum(gun, role, sha256)).toBeUndefined();
      }
      expect(await readModel.current(gun, 'targets/releases')).toBeUndefined();
      for (const { role, sha256 } of again.metafiles) {
        expect((await readModel.current(gun, role))?.sha256).toBe(sha256);
      }
      const untouched = neighbour.metafiles[0];
      expect((await readModel.current(gunOf('a/b/c'), 'targets'))?.sha256).toBe(untouched?.sha256);
    });

    test('without a publish behind it leaves nothing', async () => {
      const { repository } = await tell.publish(start);
      await tell.remove(repository);
      await projectAll();

      expect(await readModel.current(gun, 'timestamp')).toBeUndefined();
    });
  });

  describe('a deletion that is taken back', () => {
    const roles: readonly RoleName[] = ['root', 'targets', 'targets/releases'];
    const answers = async (versions: readonly bigint[]) =>
      Promise.all(
        [...roles, 'snapshot' as const, 'timestamp' as const].flatMap((role) => [
          readModel.current(gun, role),
          ...versions.map((version) => readModel.byVersion(gun, role, version)),
        ]),
      );
    const horizon = { before: new Date('2100-01-01'), limit: 100 };
    const expiring = async () => [
      ...(await readModel.expiries.soonest({ ...horizon, madeBy: 'client' })),
      ...(await readModel.expiries.soonest({ ...horizon, madeBy: 'server' })),
    ];

    test.each([
      ['one batch', async () => {}],
      ['a batch for each event', () => projectAll()],
    ])('leaves every file and expiry as it was (%s)', async (_, pause) => {
      let { repository } = await tell.publish(start, roles);
      await pause();
      ({ repository } = await tell.publish(repository, ['targets/releases']));
      ({ repository } = await tell.renew(repository));
      await projectAll();
      const [files, expiries] = [await answers([1n, 2n, 3n]), await expiring()];
      expect(expiries).toHaveLength(5);
      for (let times = 0; times < 2; times += 1) {
        ({ repository } = await tell.remove(repository));
        await pause();
        ({ repository } = await tell.restore(repository));
        await pause();
      }
      await projectAll();

      expect(await answers([1n, 2n, 3n])).toEqual(files);
      expect(await expiring()).toEqual(expiries);
      await tell.publish(repository, ['targets']);
      await projectAll();
      expect((await readModel.current(gun, 'timestamp'))?.version).toBe(4n);
    });

    test('does not bring back an earlier life', async () => {
      const one = await tell.publish(start, roles);
      const gone = await tell.remove(one.repository);
      const two = await tell.publish(gone.repository, ['root', 'targets']);
      const deleted = await tell.remove(two.repository);
      await projectAll();
      await tell.restore(deleted.repository);
      await projectAll();

      for (const { role, sha256 } of one.metafiles) {
        expect(await readModel.byChecksum(gun, role, sha256)).toBeUndefined();
      }
      for (const { role, sha256 } of two.metafiles) {
        expect((await readModel.current(gun, role))?.sha256).toBe(sha256);
      }
    });

    test('is an update in the changefeed, of the timestamp that is current again', async () => {
      const published = await tell.publish(start);
      const deleted = await tell.remove(published.repository);
      const restored = await tell.restore(deleted.repository);
      await projectAll();

      expect(await readModel.changes({ changeId: 2, records: 100 })).toEqual([
        {
          id: 3,
          createdAt: new Date(restored.recorded.event.at),
          gun,
          version: 1n,
          sha256: published.metafiles.find(({ role }) => role === 'timestamp')?.sha256,
          category: 'update',
        },
      ]);
    });
  });

  describe('the changefeed', () => {
    test('has one change for each timestamp and each deletion', async () => {
      const key = await tell.makeKey(start);
      const published = await tell.publish(key.repository);
      const renewed = await tell.renew(published.repository, ['snapshot', 'timestamp']);
      const deleted = await tell.remove(renewed.repository);
      await projectAll();

      const timestamp = ({ metafiles }: typeof renewed) =>
        metafiles.find(({ role }) => role === 'timestamp')?.sha256;
      const at = ({ recorded }: typeof renewed) => new Date(recorded.event.at);
      expect(await readModel.changes({ changeId: 0, records: 100 })).toEqual([
        {
          id: 1,
          createdAt: at(published),
          gun,
          version: 1n,
          sha256: timestamp(published),
          category: 'update',
        },
        {
          id: 2,
          createdAt: at(renewed),
          gun,
          version: 2n,
          sha256: timestamp(renewed),
          category: 'update',
        },
        { id: 3, createdAt: at(deleted), gun, version: 0n, sha256: '', category: 'deletion' },
      ]);
    });

    // Changes 1, 3 and 5 are of a/b; 2 and 4 of another repository.
    test.each([
      [0, 2, [1, 2], [1, 3]],
      [0, 2_147_483_647, [1, 2, 3, 4, 5], [1, 3, 5]],
      [1, 2, [2, 3], [3, 5]],
      [5, 2, [], []],
      [2_147_483_647, 2, [], []],
      [4, -2, [2, 3], [1, 3]],
      [1, -2, [], []],
      [2_147_483_647, -2, [4, 5], [3, 5]],
      [4, -2_147_483_648, [1, 2, 3], [1, 3]],
      [0, -2, [4, 5], [3, 5]],
      [-1, 2, [4, 5], [3, 5]],
      [-1, -2, [4, 5], [3, 5]],
      [-2_147_483_648, -2_147_483_648, [1, 2, 3, 4, 5], [1, 3, 5]],
      [0, 0, [], []],
      [-1, 0, [], []],
    ])('with change_id %i and records %i gives %j, and of a/b %j', async (...row) => {
      const [changeId, records, all, ofOne] = row;
      let ours: Repository = start;
      let other = emptyRepository(gunOf('a/b/c'));
      ({ repository: ours } = await tell.publish(ours));
      ({ repository: other } = await tell.publish(other));
      ({ repository: ours } = await tell.publish(ours));
      await tell.publish(other);
      await tell.publish(ours);
      await projectAll();

      expect(ids(await readModel.changes({ changeId, records }))).toEqual(all);
      expect(ids(await readModel.changes({ gun, changeId, records }))).toEqual(ofOne);
    });

    test('of a GUN that cannot be stored is empty', async () => {
      expect(await readModel.changes({ gun: gunOf('\0'), changeId: 0, records: 1 })).toEqual([]);
    });
  });

  describe('project', () => {
    test('says how far it is behind the log', async () => {
      expect(await readModel.lag()).toEqual({ position: 0, checkpoint: 0, behindMs: 0 });
      tell = storyteller(made.events, () => new Date(Date.now() - 60_000).toISOString());
      const { repository } = await tell.publish(start);
      await tell.publish(repository);

      const before = await readModel.lag();
      await projectAll();

      expect(before).toEqual({ position: 2, checkpoint: 0, behindMs: expect.any(Number) });
      expect(before.behindMs).toBeGreaterThan(50_000);
      expect(before.behindMs).toBeLessThan(120_000);
      expect(await readModel.lag()).toEqual({ position: 2, checkpoint: 2, behindMs: 0 });
    });

    test('says whether the log may go on, and moves the checkpoint', async () => {
      expect([await readModel.project(), await readModel.checkpoint()]).toEqual(['idle', 0]);
      let repository: Repository = start;
      for (let n = 0; n < 501; n += 1) ({ repository } = await tell.makeKey(repository));

      expect([await readModel.project(), await readModel.checkpoint()]).toEqual(['more', 500]);
      expect([await readModel.project(), await readModel.checkpoint()]).toEqual(['idle', 501]);
    });

    test('by whoever appended comes to the same, and only if it is next', async () => {
      const first = await tell.publish(start, ['root', 'targets']);
      const second = await tell.publish(first.repository);
      const third = await tell.publish(second.repository);

      expect(await readModel.projectNext([second.recorded])).toBe(false);
      expect(await readModel.checkpoint()).toBe(0);
      expect(await readModel.projectNext([first.recorded])).toBe(true);
      expect(await readModel.projectNext([first.recorded])).toBe(false);
      expect(await readModel.projectNext([second.recorded, third.recorded])).toBe(true);

      expect(await readModel.checkpoint()).toBe(3);
      expect(await readModel.reached(3, 0)).toBe(true);
      expect(await readModel.project()).toBe('idle');
      const own = [await readModel.changes({ changeId: 0, records: 10 })];
      const files = async () => [
        await readModel.current(gun, 'root'),
        await readModel.current(gun, 'targets'),
        await readModel.byVersion(gun, 'timestamp', 2n),
      ];
      const filesOfOwn = await files();
      await readModel.replay();
      expect([await readModel.changes({ changeId: 0, records: 10 })]).toEqual(own);
      expect(await files()).toEqual(filesOfOwn);
      expect(filesOfOwn).not.toContain(undefined);
    });

    test('by whoever appended and by others at once adds nothing twice', async () => {
      const other = await made.open();
      let repository: Repository = start;
      for (let n = 0; n < 40; n += 1) {
        const told = await tell.publish(repository);
        ({ repository } = told);
        await Promise.all([readModel.projectNext([told.recorded]), other.project()]);
      }
      await projectAll();

      const changes = await readModel.changes({ changeId: 0, records: 1_000 });
      expect(ids(changes)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
      await other.close();
    });

    test('by many at once adds nothing twice', async () => {
      const others = await Promise.all(Array.from({ length: 4 }, () => made.open()));
      let repository: Repository = start;
      const written = new AbortController();
      const work = async (worker: ReadModel) => {
        while (!written.signal.aborted) {
          await worker.project();
          await new Promise((resume) => setTimeout(resume, 1));
        }
      };
      const working = [readModel, ...others].map(work);
      for (let n = 0; n < 60; n += 1) ({ repository } = await tell.publish(repository));
      written.abort();
      await Promise.all(working);
      await projectAll();

      const changes = await readModel.changes({ changeId: 0, records: 1_000 });
      expect(ids(changes)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
      expect(changes.map(({ version }) => version)).toEqual(ids(changes).map(BigInt));
      await Promise.all(others.map((other) => other.close()));
    });
  });

  describe('reached', () => {
    test('is true at once for what is projected already', async () => {
      await tell.publish(start);
      await projectAll();

      expect(await readModel.reached(1, 0)).toBe(true);
      expect(await readModel.reached(0, 0)).toBe(true);
    });

    test('is true as soon as anybody has projected that far', async () => {
      const other = await made.open();
      const waiting = Promise.all(
        Array.from({ length: 200 }, (_, n) => other.reached(1 + (n % 2), 10_000)),
      );
      await tell.publish((await tell.publish(start)).repository);
      await projectAll();

      expect(new Set(await waiting)).toEqual(new Set([true]));
      await other.close();
    });

    test('is false when the time is over, and does not disturb who waits longer', async () => {
      const longer = readModel.reached(1, 10_000);
      expect(await readModel.reached(1, 20)).toBe(false);
      await tell.publish(start);
      await projectAll();

      expect(await longer).toBe(true);
    });
  });

  describe('replay', () => {
    test('gives the same again, and goes on from there', async () => {
      const one = await tell.publish((await tell.publish(start)).repository);
      const gone = await tell.remove(one.repository);
      const deleted = await tell.remove(
        (await tell.publish(gone.repository, ['root', 'targets'])).repository,
      );
      const again = await tell.restore(deleted.repository);
      await projectAll();
      const answers = async () => ({
        files: await Promise.all(
          (['root', 'targets', 'snapshot', 'timestamp'] as const).flatMap((role) => [
            readModel.current(gun, role),
            readModel.byVersion(gun, role, 2n),
          ]),
        ),
        changes: await readModel.changes({ changeId: 0, records: 100 }),
        checkpoint: await readModel.checkpoint(),
      });
      const before = await answers();

      await readModel.replay();

      expect(await answers()).toEqual(before);
      await tell.publish(again.repository);
      await projectAll();
      expect((await readModel.current(gun, 'targets'))?.version).toBe(2n);
      expect(ids(await readModel.changes({ changeId: -1, records: 1 }))).toEqual([7]);
    });
  });

  describe('runProjection', () => {
    test('projects what is appended until it is told to stop', async () => {
      const stop = new AbortController();
      const errors: unknown[] = [];
      const running = runProjection(readModel, made.events, {
        signal: stop.signal,
        onError: (error) => errors.push(error),
      });
      const { repository } = await tell.publish(start);
      expect(await readModel.reached(1, 5_000)).toBe(true);
      await tell.publish(repository);
      expect(await readModel.reached(2, 5_000)).toBe(true);
      stop.abort();
      await running;

      expect(errors).toEqual([]);
    });
  });
}
