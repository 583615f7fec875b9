import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { eventStoreContract } from '../event-store.contract.ts';
import type { EventStore } from '../event-store.ts';
import { emptyRepository } from '../repository.ts';
import { testDatabase, type TestDatabase } from './testing/database.ts';
import { gunOf, storyteller } from '../testing/facts.ts';
import { postgresEventStore } from './event-store.ts';

const countingFromOne = (length: number) => Array.from({ length }, (_, n) => n + 1);

describe('the log in Postgres', () => {
  eventStoreContract(async () => {
    const database = await testDatabase();
    return {
      open: () => postgresEventStore(database.url, { poolSize: 4 }),
      remove: () => database.drop(),
    };
  });

  describe('beside other sessions', () => {
    let database: TestDatabase;
    let events: EventStore;
    const session = async (): Promise<Client> => {
      const client = new Client(database.url);
      client.on('error', () => {});
      await client.connect();
      return client;
    };
    beforeAll(async () => {
      database = await testDatabase();
      events = await postgresEventStore(database.url);
    });
    afterAll(async () => {
      await events.close();
      await database.drop();
    });

    const positions = async () => (await events.readAfter(0, 1e6)).map(({ position }) => position);

    test('positions stay contiguous through rolled-back appends and a long transaction', async () => {
      const { publish } = storyteller(events);
      const long = await session();
      await long.query('begin isolation level repeatable read');
      await long.query('select count(*) from events');
      await long.query('create temp table unrelated as select 1');
      let { repository } = await publish(emptyRepository(gunOf('long/transaction')));

      const rolledBack = await session();
      await rolledBack.query('begin');
      await rolledBack.query('update log_head set position = position + 1');
      const waiting = publish(repository);
      await vi.waitFor(async () => {
        const locks = await database.query('select from pg_locks where not granted');
        expect(locks).toHaveLength(1);
      });
      expect(await positions()).toEqual([1]);
      await rolledBack.query('rollback');
      ({ repository } = await waiting);
      await publish(repository);

      expect(await positions()).toEqual([1, 2, 3]);
      await long.query('commit');
      await Promise.all([long.end(), rolledBack.end()]);
    });

    test('a reader waits for a slow writer instead of stepping over it', async () => {
      const before = (await positions()).length;
      const { publish } = storyteller(events);
      const slow = await session();
      await slow.query('begin');
      await slow.query('update log_head set position = position + 1');
      await slow.query(
        `insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
         select position, 'slow', sha256('slow'), 1, 'RepositoryDeleted', now(), '{}', '{}', sha256('x')
         from log_head`,
      );
      const fast = Promise.all(
        countingFromOne(8).map((n) => publish(emptyRepository(gunOf(`fast/${n}`)))),
      );
      const seen = await events.readAfter(before, 100);
      await slow.query('commit');
      await fast;

      expect(seen).toEqual([]);
      expect(await positions()).toEqual(countingFromOne(before + 9));
      await slow.end();
    });

    test('events that come together are committed together', async () => {
      const { publish } = storyteller(events);
      const before = (await positions()).length;
      await Promise.all(
        countingFromOne(30).map((n) => publish(emptyRepository(gunOf(`together/${n}`)))),
      );

      const [row] = await database.query<{ commits: string }>(
        `select count(distinct xmin::text) as commits from events where position > ${before}`,
      );
      expect(Number(row?.commits)).toBeLessThan(30);
      expect(await positions()).toEqual(countingFromOne(before + 30));
    });

    test('one that loses a race while it waits harms none of those it came with', async () => {
      const { publish } = storyteller(events);
      const before = (await positions()).length;
      const other = await session();
      await other.query('begin');
      await other.query('update log_head set position = position + 1');
      await other.query(
        `insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
         select position, 'raced', sha256('raced'), 1, 'RepositoryDeleted', now(), '{}', '{}', sha256('x')
         from log_head`,
      );
      const asked = Promise.allSettled(
        ['alone', 'beside', 'raced', 'besides'].map((name) =>
          publish(emptyRepository(gunOf(name))),
        ),
      );
      await vi.waitFor(
        async () => {
          const locks = await database.query('select from pg_locks where not granted');
          expect(locks).toHaveLength(2);
        },
        { timeout: 5_000 },
      );
      await other.query('commit');
      await other.end();

      expect((await asked).map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      expect(await positions()).toEqual(countingFromOne(before + 4));
    });

    test('the same bytes are stored once', async () => {
      const before = await database.query<{ count: string }>('select count(*) from files');
      const { publish } = storyteller(events);
      const start = emptyRepository(gunOf('stored/once'));
      const { metafiles, recorded } = await publish(start);

      await events.append(start.head, recorded.event, metafiles);

      const after = await database.query<{ count: string }>('select count(*) from files');
      expect(Number(after[0]?.count)).toBe(Number(before[0]?.count) + 3);
    });

    test('an append whose connection breaks before the answer can be repeated', async () => {
      const { publish } = storyteller(events);
      const { repository, metafiles, recorded } = await publish(
        emptyRepository(gunOf('broken/connection')),
      );
      await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'scrivener events' and datname = current_database()`,
      );

      const again = await vi.waitFor(() =>
        events.append(emptyRepository(repository.head.gun).head, recorded.event, metafiles),
      );
      expect(again).toEqual(recorded);
    });

    test('a subscriber is woken again after its connection was lost', async () => {
      const wake = vi.fn<() => void>();
      const unsubscribe = await events.subscribe(wake);
      await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'scrivener listen%' and datname = current_database()`,
      );
      wake.mockClear();
      await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1), { timeout: 5_000 });

      await storyteller(events).publish(emptyRepository(gunOf('listening/again')));

      await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2), { timeout: 5_000 });
      await unsubscribe();
    });
  });

  test('a store can be opened, and subscribed to, while the database is away', async () => {
    const events = await postgresEventStore('postgres://nobody@127.0.0.1:1/none');
    const unsubscribe = await events.subscribe(() => {});

    await expect(events.readAfter(0, 1)).rejects.toThrow('ECONNREFUSED');
    await unsubscribe();
    await events.close();
  });
});
