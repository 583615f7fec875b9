import { emptyRepository, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expiriesContract } from '../expiries.contract.ts';
import { readModelContract } from '../read-model.contract.ts';
import type { ReadModel } from '../read-model.ts';
import { CURRENT_OF_SERVER, fileWhere, postgresReadModel } from './read-model.ts';

/** Every row of the read model, in the words of Postgres. */
const dump = async (database: TestDatabase) => ({
  checkpoint: await database.query('select position from projections where live'),
  metafiles: await database.query('select m::text from live_metafiles m order by m'),
  changefeed: await database.query('select c::text from live_changefeed c order by id'),
  expiries: await database.query('select e::text from live_expiries e order by e'),
});

describe('the read model in Postgres', () => {
  // one database for all of the suite, emptied for each test
  let shared: TestDatabase;
  let log: EventStore;
  beforeAll(async () => {
    shared = await testDatabase();
    log = await postgresEventStore(shared.url);
  });
  afterAll(async () => {
    await log.close();
    await shared.drop();
  });

  describe.each(['a', 'b'])('with generation %s live', (slot) => {
    const make = async () => {
      await shared.query('update serving set slot = $1', [slot]);
      await shared.query(`update projections set live = ((name = 'repositories') = ($1 = 'a'))`, [
        slot,
      ]);
      return {
        events: log,
        open: () => postgresReadModel(shared.url, { poolSize: 4 }),
        async remove() {
          await shared.query(
            `truncate events, files, metafiles_generations, changefeed_generations,
               expiries_generations, renewal_claims, expiry_alarms, expiry_watch`,
          );
          await shared.query('update log_head set position = 0');
          await shared.query('update projections set position = 0');
        },
      };
    };
    readModelContract(make);
    describe('expiries', () => {
      expiriesContract(make);
    });
  });

  describe('as tables', () => {
    let database: TestDatabase;
    let events: EventStore;
    let readModel: ReadModel;
    beforeAll(async () => {
      database = await testDatabase();
      events = await postgresEventStore(database.url);
      readModel = await postgresReadModel(database.url);
    });
    afterAll(async () => {
      await readModel.close();
      await events.close();
      await database.drop();
    });
    const session = async (): Promise<Client> => {
      const client = new Client(database.url);
      client.on('error', () => {});
      await client.connect();
      return client;
    };

    test('replay gives byte for byte the rows of the live one', async () => {
      const tell = storyteller(events);
      const repositories = Array.from({ length: 5 }, (_, n) =>
        emptyRepository(gunOf(`replay/${n}`)),
      );
      for (let round = 0; round < 40; round += 1) {
        const n = (round * 7) % 5;
        let repository = repositories[n] ?? emptyRepository(gunOf('replay/x'));
        ({ repository } = await tell.publish(repository, ['targets', 'targets/releases']));
        if (round % 3 === 0)
          ({ repository } = await tell.renew(repository, ['snapshot', 'timestamp']));
        if (round % 4 === 0) ({ repository } = await tell.makeKey(repository, 'snapshot'));
        if (round % 6 === 0) ({ repository } = await tell.remove(repository));
        repositories[n] = repository;
        if (round % 5 === 0) await readModel.project();
      }
      while ((await readModel.project()) !== 'idle');
      const live = await dump(database);

      await readModel.replay();

      expect(await dump(database)).toEqual(live);
      expect(live.metafiles.length).toBeGreaterThan(20);
      expect(live.changefeed.length).toBeGreaterThan(40);
      expect(live.expiries.length).toBeGreaterThan(10);
    });

    test('tells once of each event that it has projected, in whatever process that was', async () => {
      const told: number[][] = [];
      const open = () =>
        postgresReadModel(database.url, {
          poolSize: 1,
          onProjected: (batch) => told.push(batch.events.map(({ position }) => position)),
        });
      while ((await readModel.project()) !== 'idle');
      const models = [await open(), await open()];
      const told1 = await storyteller(events).publish(emptyRepository(gunOf('told/once')));
      const told2 = await storyteller(events).publish(told1.repository);

      for (let round = 0; round < 3; round += 1) {
        await Promise.all(models.map((model) => model.project()));
      }

      expect(told.flat()).toEqual([told1.recorded.position, told2.recorded.position]);
      await Promise.all(models.map((model) => model.close()));
    });

    test('somebody who holds the checkpoint makes others busy, not wait', async () => {
      await storyteller(events).publish(emptyRepository(gunOf('holds/it')));
      const holder = await session();
      await holder.query('begin');
      await holder.query('select from projections for update');

      expect(await readModel.project()).toBe('busy');

      await holder.query('rollback');
      await holder.end();
      expect(await readModel.project()).toBe('idle');
    });

    test('a gap in the log stops the projection with an error that says so', async () => {
      const other = await testDatabase();
      const log = await postgresEventStore(other.url);
      const tables = await postgresReadModel(other.url);
      const { repository } = await storyteller(log).publish(emptyRepository(gunOf('gap')));
      await storyteller(log).publish(repository);
      await other.query('delete from events where position = 1');

      await expect(tables.project()).rejects.toThrow(
        expect.objectContaining({ code: 'LOG_GAP', message: 'the log has no event 1' }),
      );
      expect(await tables.checkpoint()).toBe(0);
      await tables.close();
      await log.close();
      await other.drop();
    });

    test('who waits is answered although the listening connection is lost meanwhile', async () => {
      const end = await readModel.checkpoint();
      const waiting = readModel.reached(end + 1, 10_000);
      await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'scrivener listen%' and datname = current_database()`,
      );
      await storyteller(events).publish(emptyRepository(gunOf('waits')));
      const other = await postgresReadModel(database.url);
      await other.project();

      expect(await waiting).toBe(true);
      await other.close();
    });

    describe('at 100,000 rows', () => {
      beforeAll(async () => {
        await database.query(
          `insert into metafiles (gun_sha256, role, version, sha256, published_at, position)
           select sha256(convert_to('many ' || n % 1000, 'UTF8')), 'targets',
             n / 1000, sha256(convert_to('file ' || n, 'UTF8')), now(), 0
           from generate_series(1, 100000) n`,
        );
        await database.query(
          `insert into expiries
             (gun, gun_sha256, role, subject, version, made_by, published_at, expires_at)
           select 'many ' || n, sha256(convert_to('many ' || n, 'UTF8')), role, 'metadata', 1,
             'server', now(), now() + n * interval '1 minute'
           from generate_series(1, 10000) n, unnest(array['timestamp', 'snapshot']) as role`,
        );
        await database.query('analyze metafiles, expiries');
      });

      test.each([
        ['current', '', 'metafiles_pkey'],
        ['by version', 'and version = 7', 'metafiles_pkey'],
        ['by checksum', `and sha256 = sha256('file 70007')`, 'metafiles_checksum'],
      ])('a GET %s is answered from an index', async (_, condition, index) => {
        const plan = await database.query<{ 'QUERY PLAN': string }>(
          `explain ${fileWhere(condition).replace('$1', `sha256('many 7')`).replace('$2', `'targets'`)}`,
        );

        const text = plan.map((line) => line['QUERY PLAN']).join('\n');
        expect(text).toContain(`using ${index}`);
        // the few rows of the other generation may be scanned in a plan, which never executes that
        expect(text).not.toMatch(/Seq Scan on metafiles\s/);
      });

      test('what the server may have to renew is found with its expiry by primary keys', async () => {
        const query = CURRENT_OF_SERVER.replaceAll('$1', `sha256('many 7')`);
        const plan = await database.query<{ 'QUERY PLAN': string }>(
          `explain ${query.replace('$2', `'timestamp'`)}`,
        );

        const text = plan.map((line) => line['QUERY PLAN']).join('\n');
        expect(text.match(/using expiries_pkey/g)).toHaveLength(2);
        expect(text).not.toMatch(/Seq Scan on (metafiles|expiries)/);
      });

      test('a GET does not look at the generation that is not live', async () => {
        const query = fileWhere('').replace('$1', `sha256('many 7')`).replace('$2', `'targets'`);
        const plan = await database.query<{ 'QUERY PLAN': string }>(`explain (analyze) ${query}`);

        const [serving] = await database.query<{ slot: string }>('select slot from serving');
        const other = serving?.slot === 'a' ? 'metafiles_b' : 'metafiles';
        const lines = plan.map((line) => line['QUERY PLAN']);
        expect(lines.filter((line) => line.includes(` on ${other} `))).toEqual([
          expect.stringContaining('never executed'),
        ]);
      });
    });
  });
});
