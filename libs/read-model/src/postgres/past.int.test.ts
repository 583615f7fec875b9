import { emptyRepository, type EventStore, type RecordedEvent } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ReadModel } from '../read-model.ts';
import { openPastSchema, type PastSchema } from './past.ts';
import { postgresReadModel } from './read-model.ts';

describe('a past schema', () => {
  let database: TestDatabase;
  let events: EventStore;
  let readModel: ReadModel;
  const opened: PastSchema[] = [];
  beforeEach(async () => {
    database = await testDatabase();
    events = await postgresEventStore(database.url);
    readModel = await postgresReadModel(database.url);
  });
  afterEach(async () => {
    await closeAll();
    await readModel.close();
    await events.close();
    await database.drop();
  });

  const closeAll = async () => {
    for (const schema of opened.splice(0)) await schema.close().catch(() => {});
  };
  const open = async (name = 'past', url = database.url) => {
    const schema = await openPastSchema(url, name);
    opened.push(schema);
    return schema;
  };
  const bring = async (schema: PastSchema, position: number, most = 7) => {
    while (schema.position < position) {
      const limit = Math.min(most, position - schema.position);
      await schema.apply(await events.readAfter(schema.position, limit));
    }
  };
  const TABLES = ['metafiles', 'changefeed', 'expiries'] as const;
  /** Every row, in the words of Postgres. */
  const rowsOf = async (prefix: string) => {
    const lists: unknown[] = [];
    for (const table of TABLES) {
      const columns = await columnsOf('public', `live_${table}`);
      const row = columns.map(([column]) => column).join(', ');
      lists.push(await database.query(`select (${row})::text from ${prefix}${table} order by 1`));
    }
    return lists;
  };
  const columnsOf = async (schema: string, table: string) => {
    const rows = await database.query<{ name: string; type: string }>(
      `select column_name as name, data_type as type from information_schema.columns
       where table_schema = $1 and table_name = $2 order by 1`,
      [schema, table],
    );
    return rows.map(({ name, type }) => [name, type] as const);
  };

  /** Lives of two repositories, one of them deleted, restored, deleted and begun anew. */
  const tell = async (): Promise<readonly RecordedEvent[]> => {
    const { publish, renew, makeKey, remove, restore } = storyteller(events);
    let { repository } = await makeKey(emptyRepository(gunOf('a/b')));
    let other = (await publish(emptyRepository(gunOf('c')))).repository;
    for (let round = 0; round < 3; round += 1) {
      ({ repository } = await publish(repository, ['root', 'targets', 'targets/releases']));
      ({ repository } = await renew(repository));
      other = (await publish(other)).repository;
    }
    ({ repository } = await remove(repository));
    ({ repository } = await restore(repository));
    ({ repository } = await publish(repository));
    ({ repository } = await remove(repository));
    await publish(repository);
    return events.readAfter(0, 1_000);
  };
  /** What was live after each event. */
  const livesOf = async (log: readonly RecordedEvent[]) => {
    const lives = [await rowsOf('live_')];
    const live = await open('step');
    for (const event of log) {
      await live.apply([event]);
      lives.push(await rowsOf('step.'));
    }
    return lives;
  };

  test('has the columns of what is live', async () => {
    await open();

    for (const table of TABLES) {
      const columns = await columnsOf('past', table);
      expect(columns).toEqual(await columnsOf('public', `live_${table}`));
      expect(columns.length).toBeGreaterThan(5);
    }
  });

  test('has at each position the rows that were live there, and can be brought forward', async () => {
    const { publish, renew, remove, restore } = storyteller(events);
    const lives = [await rowsOf('live_')];
    const live = async <Told>(told: Told): Promise<Told> => {
      await readModel.project();
      lives.push(await rowsOf('live_'));
      return told;
    };
    let { repository } = await live(
      await publish(emptyRepository(gunOf('a/b')), ['root', 'targets', 'targets/releases']),
    );
    await live(await publish(emptyRepository(gunOf('c'))));
    ({ repository } = await live(await renew(repository)));
    ({ repository } = await live(await remove(repository)));
    ({ repository } = await live(await restore(repository)));
    ({ repository } = await live(await publish(repository)));
    ({ repository } = await live(await remove(repository)));
    await live(await publish(repository));

    const schema = await open();
    for (const [position, rows] of lives.entries()) {
      await bring(schema, position);
      expect(await rowsOf('past.')).toEqual(rows);
      await bring(await open(`at_${position}`), position);
      expect(await rowsOf(`at_${position}.`)).toEqual(rows);
    }
    expect(lives[4]).not.toEqual(lives[5]);
    expect(await rowsOf('live_')).toEqual(lives.at(-1));
  });

  test('goes on where it was when its session was killed at any moment', async () => {
    const log = await tell();
    const lives = await livesOf(log);
    let killed = 0;
    for (let round = 0; round < 12; round += 1) {
      const name = `kill_${round}`;
      const bringing = (async () => bring(await open(name), log.length, 1))().catch(
        (error: unknown) => error,
      );
      await new Promise((resolve) => setTimeout(resolve, 12 * round));
      await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'scrivener replay' and datname = current_database()`,
      );
      if ((await bringing) instanceof Error) killed += 1;
      await closeAll();

      const schema = await open(name);
      expect(await rowsOf(`${name}.`)).toEqual(lives[schema.position]);
      await bring(schema, log.length);
      expect(await rowsOf(`${name}.`)).toEqual(lives.at(-1));
    }
    expect(killed).toBeGreaterThan(2);
  });

  test('may be called by a word of SQL', async () => {
    const log = await tell();
    await bring(await open('order'), log.length);
    await closeAll();

    expect((await open('order')).position).toBe(log.length);
    expect(await rowsOf('"order".')).toEqual((await livesOf(log)).at(-1));
  });

  test.each([
    ['where the log lies', 'public', 'public is where the log and what is live lie'],
    ['a schema of something else', 'taken', 'the schema taken is there, and no replay made it'],
    ['a name that needs quotes', 'Past', 'Past is no name'],
    ['a name that is more than one', 'past; drop schema public', 'is no name'],
    ['a name of PostgreSQL', 'pg_past', 'pg_past is no name'],
    ['a name of the standard', 'information_schema', 'is no name'],
  ])('%s is refused', async (_what, name, reason) => {
    await database.query('create schema taken; create table taken.metafiles (id int)');

    await expect(open(name)).rejects.toThrow(reason);

    expect(await columnsOf('taken', 'metafiles')).toHaveLength(1);
  });

  test('a replay of another log is refused, and one that is under way', async () => {
    const log = await tell();
    const schema = await open();
    await bring(schema, log.length);
    await expect(open()).rejects.toThrow('a replay into past is under way');
    await schema.close();
    await database.query(`update events set hash = sha256(hash) where position = ${log.length}`);

    await expect(open()).rejects.toThrow('past is a replay of another log');
  });

  test('a login that may not make schemas is told what to ask for, and that is enough', async () => {
    const log = await tell();
    const url = new URL(database.url);
    url.searchParams.set('options', '-c role=notary_projector');

    const refused = open('past', url.href);
    await expect(refused).rejects.toThrow(
      'have the owner of the database run: create schema past authorization "notary_projector"',
    );
    await database.query('create schema past authorization "notary_projector"');

    await bring(await open('past', url.href), log.length);
    await readModel.project();
    expect(await rowsOf('past.')).toEqual(await rowsOf('live_'));
  });
});
