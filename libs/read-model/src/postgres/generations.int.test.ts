import { emptyRepository, type EventStore, type Repository } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { clock, gunOf, storyteller } from '@scrivener/events/testing';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Difference, Generations, RebuildOptions } from '../generations.ts';
import type { ReadModel } from '../read-model.ts';
import { postgresGenerations } from './generations.ts';
import { writeBatch, readBehindLive } from './project.ts';
import { postgresReadModel } from './read-model.ts';

const nothing: RebuildOptions['approve'] = () => false;

describe('generations', () => {
  let database: TestDatabase;
  let events: EventStore;
  let readModel: ReadModel;
  let generations: Generations;
  beforeEach(async () => {
    database = await testDatabase();
    events = await postgresEventStore(database.url);
    readModel = await postgresReadModel(database.url);
    generations = postgresGenerations(database.url);
  });
  afterEach(async () => {
    await generations.close();
    await readModel.close();
    await events.close();
    await database.drop();
  });

  const projectAll = async () => {
    while ((await readModel.project()) !== 'idle');
  };
  /** What readers can find, in the words of Postgres. */
  const live = async () => ({
    checkpoint: await database.query('select position from projections where live'),
    metafiles: await database.query('select m::text from live_metafiles m order by m'),
    changefeed: await database.query('select c::text from live_changefeed c order by id'),
    expiries: await database.query('select e::text from live_expiries e order by e'),
  });
  const rebuild = (options: RebuildOptions = {}) =>
    generations.rebuild({ approve: nothing, ...options });
  const terminate = async () =>
    database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'scrivener generations' and datname = current_database()`,
    );

  /** Publishes, renewals, keys and deletions of five repositories. */
  const tell = async (rounds: number, now = clock()): Promise<Repository[]> => {
    const story = storyteller(events, now);
    const repositories = Array.from({ length: 5 }, (_, n) => emptyRepository(gunOf(`many/${n}`)));
    for (let round = 0; round < rounds; round += 1) {
      const n = (round * 7) % 5;
      let repository = repositories[n] ?? emptyRepository(gunOf('many/x'));
      ({ repository } = await story.publish(repository, ['targets', 'targets/releases']));
      if (round % 3 === 0) ({ repository } = await story.renew(repository));
      if (round % 4 === 0) ({ repository } = await story.makeKey(repository, 'snapshot'));
      if (round % 6 === 0) ({ repository } = await story.remove(repository));
      repositories[n] = repository;
    }
    return repositories;
  };

  test('a rebuilt one has byte for byte the rows of the live one, and takes its place', async () => {
    await tell(40);
    await projectAll();
    const before = await live();
    expect(before.metafiles.length).toBeGreaterThan(20);

    expect(await rebuild()).toMatchObject({ result: 'live', generation: 2 });
    expect(await live()).toEqual(before);
    expect(await generations.serving()).toMatchObject({
      generation: 2,
      other: { state: 'kept', generation: 1 },
    });

    expect(await rebuild()).toMatchObject({ result: 'live', generation: 3 });
    expect(await live()).toEqual(before);
  });

  test('an empty log is rebuilt', async () => {
    expect(await rebuild()).toMatchObject({ result: 'live', position: 0 });
  });

  test('the way back is there at once, and what happened since is not lost', async () => {
    const [first = emptyRepository(gunOf('a'))] = await tell(5);
    await projectAll();
    await rebuild();
    await storyteller(events).publish(first);
    await projectAll();
    const before = await live();

    expect(await generations.back()).toMatchObject({ result: 'live', generation: 1 });
    expect(await live()).toEqual(before);
    expect(await generations.back()).toMatchObject({ result: 'live', generation: 2 });
    expect(await live()).toEqual(before);
  });

  test('of a log that ends before what is projected only a replay makes another one', async () => {
    await tell(5);
    await projectAll();
    const before = await live();
    await database.query('update projections set position = 99 where live');

    await expect(rebuild()).rejects.toThrow(expect.objectContaining({ code: 'LOG_GAP' }));
    await readModel.replay();

    expect(await live()).toEqual(before);
  });

  test('what is kept can be thrown away, and then there is no way back', async () => {
    await tell(5);
    await projectAll();
    await rebuild();
    const before = await live();

    await generations.drop();

    expect(await live()).toEqual(before);
    expect(await database.query('select from metafiles')).toEqual([]);
    expect(await generations.catchUp()).toBe('idle');
    expect((await generations.serving()).other).toMatchObject({ state: 'empty', checkpoint: 0 });
    await expect(generations.back()).rejects.toThrow(
      expect.objectContaining({ code: 'NOTHING_KEPT' }),
    );
  });

  test('there is no way back where nothing is kept', async () => {
    await expect(generations.back()).rejects.toThrow(
      expect.objectContaining({ code: 'NOTHING_KEPT' }),
    );
  });

  test('the one that is kept is projected too, and nobody hears of it', async () => {
    const [first = emptyRepository(gunOf('a'))] = await tell(5);
    await projectAll();
    expect(await generations.catchUp()).toBe('idle');
    expect((await generations.serving()).other.checkpoint).toBe(0);
    await rebuild();
    const { recorded } = await storyteller(events).publish(first);

    await generations.catchUp();
    expect((await generations.serving()).other.checkpoint).toBe(recorded.position - 1);
    await projectAll();
    expect(await generations.catchUp()).toBe('idle');
    expect((await generations.serving()).other.checkpoint).toBe(recorded.position);
  });

  describe.each<[string, string, Partial<Difference>[]]>([
    [
      'a row of files that the log does not tell of',
      `insert into metafiles (gun_sha256, role, version, sha256, published_at, position)
       values (sha256('nobody'), 'root', 1, sha256('x'), now(), 1)`,
      [{ table: 'metafiles', gun: undefined, rebuilt: undefined }],
    ],
    [
      'a row of files that is missing',
      `delete from metafiles where role = 'timestamp' and version = 1 and gun_sha256 = sha256('many/1')`,
      [{ table: 'metafiles', gun: gunOf('many/1'), live: undefined }],
    ],
    [
      'another checksum',
      `update metafiles set sha256 = sha256('x') where role = 'snapshot' and version = 2
       and gun_sha256 = sha256('many/2')`,
      [{ table: 'metafiles', gun: gunOf('many/2') }],
    ],
    [
      'another moment, by a microsecond',
      `update metafiles set published_at = published_at + interval '1 microsecond'
       where role = 'targets' and version = 2 and gun_sha256 = sha256('many/3')`,
      [{ table: 'metafiles', gun: gunOf('many/3') }],
    ],
    [
      'a change of another repository',
      `update changefeed set gun = 'many/3', gun_sha256 = sha256('many/3') where id = 4`,
      [
        { table: 'changefeed', live: undefined },
        { table: 'changefeed', rebuilt: undefined },
      ],
    ],
    [
      'an expiry of somebody else',
      `update expiries set made_by = 'client'
       where role = 'timestamp' and gun_sha256 = sha256('many/4')`,
      [{ table: 'expiries', gun: gunOf('many/4') }],
    ],
  ])('with %s', (_what, tamper, expected) => {
    beforeEach(async () => {
      await tell(24);
      await projectAll();
      await database.query(tamper);
    });

    test('nothing changes, and the difference is told', async () => {
      const before = await live();
      const found: Difference[] = [];

      const rebuilt = await rebuild({
        approve(difference) {
          found.push(difference);
          return false;
        },
      });

      expect(rebuilt).toEqual({ result: 'different', differences: expected.length });
      expect(found).toHaveLength(expected.length);
      for (const difference of expected) {
        expect(found).toContainEqual(expect.objectContaining(difference));
      }
      expect(await live()).toEqual(before);
      expect((await generations.serving()).generation).toBe(1);
    });

    test('it takes an approval, and what the log tells is live', async () => {
      await rebuild();

      expect(await rebuild({ approve: () => true })).toMatchObject({ result: 'live' });

      const repaired = await live();
      expect(await rebuild()).toMatchObject({ result: 'live' });
      expect(await live()).toEqual(repaired);
    });
  });

  test.each([
    ['goes on where it was killed', false, 'different'],
    ['begins anew where that is asked for', true, 'live'],
  ])('it %s', async (_what, fromStart, result) => {
    await tell(24);
    await projectAll();
    await database.query(`update serving set other = 'building', other_generation = 2`);
    const client = new Client(database.url);
    await client.connect();
    await writeBatch(client, 'b', await readBehindLive(client, 0, 12));
    await client.end();
    // Whoever begins anew overwrites this row, and whoever goes on keeps it.
    await database.query(
      `update metafiles_b set published_at = 'epoch' where gun_sha256 = sha256('many/3')`,
    );

    expect(await rebuild({ fromStart })).toMatchObject({ result });
  });

  test('of a version that the log repeats, which no decision allows, the later one counts', async () => {
    const told = await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    await database.query(`update serving set other = 'building', other_generation = 2`);
    const client = new Client(database.url);
    await client.connect();
    await projectAll();
    await writeBatch(client, 'b', await readBehindLive(client, 0));
    await client.end();
    const { recorded, metafiles, repository } = told;
    await events.append(repository.head, { ...recorded.event, at: clock()() }, metafiles);
    await projectAll();

    expect(await rebuild()).toMatchObject({ result: 'live', position: 2 });
    expect(await readModel.current(gunOf('a/b'), 'targets')).toMatchObject({ version: 1n });
    expect(
      await database.query('select distinct position::int as position from metafiles_b'),
    ).toEqual([{ position: 2 }]);
  });

  test('of two at once the second one is refused', async () => {
    await tell(5);
    await projectAll();
    let second: Promise<unknown> | undefined;

    const first = await rebuild({
      onProgress() {
        second ??= generations.rebuild().catch((error: unknown) => error);
      },
    });

    expect(await second).toMatchObject({ code: 'REBUILDING' });
    expect(first).toMatchObject({ result: 'live' });
  });

  test('under traffic readers see every publish, and nothing that is not the newest', async () => {
    const story = storyteller(events);
    const gun = gunOf('busy/one');
    let repository = emptyRepository(gun);
    let published = 0n;
    const failures: string[] = [];
    const stop = new AbortController();
    const publishing = (async () => {
      while (!stop.signal.aborted) {
        const told = await story.publish(repository);
        ({ repository } = told);
        for (let n = 0; n < 200; n += 1) {
          if (await readModel.reached(told.recorded.position, 20)) break;
          await readModel.project();
        }
        published = told.repository.current.get('timestamp')?.version ?? 0n;
      }
    })();
    const reading = (async () => {
      while (!stop.signal.aborted) {
        const atLeast = published;
        const found = (await readModel.current(gun, 'timestamp'))?.version ?? 0n;
        if (found < atLeast) failures.push(`${found} after ${atLeast}`);
      }
    })();

    for (let round = 0; round < 3; round += 1) {
      const before = published;
      await vi.waitFor(() => expect(published).toBeGreaterThan(before), { timeout: 20_000 });
      expect(await rebuild()).toMatchObject({ result: 'live', generation: round + 2 });
    }
    stop.abort();
    await Promise.all([publishing, reading]);

    expect(failures).toEqual([]);
    await projectAll();
    expect((await readModel.current(gun, 'timestamp'))?.version).toBe(published);
  }, 120_000);

  test('killed at any moment it leaves a whole live generation, and can be done again', async () => {
    await tell(60);
    await projectAll();
    const before = await live();
    let killed = 0;
    for (let round = 0; round < 15; round += 1) {
      const running = rebuild().catch((error: unknown) => error);
      setTimeout(() => void terminate(), round * 8);
      if ((await running) instanceof Error) killed += 1;
      expect(await live()).toEqual(before);
      await terminate();
    }
    expect(killed).toBeGreaterThan(2);

    expect(await vi.waitFor(() => rebuild(), { timeout: 10_000 })).toMatchObject({
      result: 'live',
    });
    expect(await live()).toEqual(before);
  }, 120_000);
});
