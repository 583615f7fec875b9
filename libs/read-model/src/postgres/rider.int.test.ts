import { emptyRepository, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { clock, gunOf, storyteller } from '@scrivener/events/testing';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { postgresGenerations } from './generations.ts';
import { postgresReadModel, type PostgresReadModel } from './read-model.ts';

let database: TestDatabase;
let readModel: PostgresReadModel;
let events: EventStore;
beforeEach(async () => {
  database = await testDatabase();
  readModel = await postgresReadModel(database.url);
  events = await postgresEventStore(database.url, { rider: readModel.rider });
});
afterEach(async () => {
  await events.close();
  await readModel.close();
  await database.drop();
});

/** As a lone writer appends. */
const riding = (): EventStore => ({
  ...events,
  append: (head, event, metafiles) => events.append(head, event, metafiles, { projects: true }),
});

/** Which generation is live is not known before the first one that is projected in the other way. */
async function started(gun = gunOf('a/b')) {
  const tell = storyteller(riding(), clock());
  const { repository, recorded } = await tell.publish(emptyRepository(gun));
  expect(await readModel.checkpoint()).toBe(0);
  expect(await readModel.projectNext([recorded])).toBe(true);
  return { tell, repository };
}

/** Whether the live generation is what the log comes to. */
async function isRight(): Promise<boolean> {
  while ((await readModel.project()) !== 'idle');
  const generations = postgresGenerations(database.url);
  try {
    const { result } = await generations.rebuild({ fromStart: true, approve: () => false });
    return result === 'live';
  } finally {
    await generations.close();
  }
}

describe('what a lone event comes to', () => {
  test('is written with it, whatever it is, but for a restoration', async () => {
    const { tell, repository } = await started();
    let now = repository;
    for (const step of ['publish', 'renew', 'makeKey', 'remove', 'publish', 'remove'] as const) {
      const { repository: next, recorded } = await tell[step](now);
      expect(await readModel.checkpoint()).toBe(recorded.position);
      expect(await readModel.projectNext([recorded])).toBe(true);
      now = next;
    }
    const { recorded } = await tell.restore(now);

    expect(await readModel.checkpoint()).toBe(recorded.position - 1);
    expect(await readModel.projectNext([recorded])).toBe(true);
    expect(await isRight()).toBe(true);
  });

  test('is left where others are in front of it, and comes in its turn', async () => {
    const { tell, repository } = await started();
    const alone = await postgresEventStore(database.url);
    await storyteller(alone).publish(emptyRepository(gunOf('a/c')));
    await alone.close();

    const { recorded } = await tell.publish(repository);

    expect(await readModel.checkpoint()).toBe(recorded.position - 2);
    expect(await readModel.projectNext([recorded])).toBe(false);
    expect(await isRight()).toBe(true);
  });

  test('is left where somebody else projects at that moment', async () => {
    const { tell, repository } = await started();
    const release = await locked('select from projections where live for update');
    const { recorded } = await tell.publish(repository);
    await release();

    expect(await readModel.checkpoint()).toBe(recorded.position - 1);
    expect(await readModel.projectNext([recorded])).toBe(true);
  });

  test('keeps no event from being added, whatever the database has against it', async () => {
    const { tell, repository } = await started();
    await database.query('alter table changefeed add check (version < 2)');

    const { repository: next, recorded } = await tell.publish(repository);
    const { recorded: last } = await tell.publish(next);

    expect((await events.readAfter(0, 10)).map(({ version }) => version)).toEqual([1, 2, 3]);
    expect(await readModel.checkpoint()).toBe(recorded.position - 1);
    await database.query('alter table changefeed drop constraint changefeed_version_check');
    expect(await isRight()).toBe(true);
    expect(await readModel.checkpoint()).toBe(last.position);
  });

  test('is not taken for what is read where another generation has become live', async () => {
    const { tell, repository } = await started();
    const generations = postgresGenerations(database.url);
    await generations.rebuild();
    await generations.close();

    const { recorded, repository: next } = await tell.publish(repository);

    expect(await readModel.checkpoint()).toBe(recorded.position - 1);
    expect(await readModel.projectNext([recorded])).toBe(true);
    const { recorded: last } = await tell.publish(next);
    expect(await readModel.checkpoint()).toBe(last.position);
    expect(await isRight()).toBe(true);
  });

  test('is right where several processes and a projector do it at once', async () => {
    await started();
    const other = await postgresReadModel(database.url);
    const others = await postgresEventStore(database.url, { rider: other.rider });
    await other.projectNext([await onlyEvent()]);
    const over = new AbortController();
    const projector = (async () => {
      while (!over.signal.aborted) await readModel.project();
    })();
    await Promise.all(
      [events, others].map(async (store, n) => {
        const tell = storyteller({
          ...store,
          append: (head, event, metafiles) =>
            store.append(head, event, metafiles, { projects: true }),
        });
        let repository = emptyRepository(gunOf(`a/of-${n}`));
        for (let version = 1; version <= 60; version += 1) {
          ({ repository } = await tell.publish(repository));
        }
      }),
    );
    over.abort();
    await projector;
    await others.close();
    await other.close();

    expect(await isRight()).toBe(true);
    expect(await readModel.checkpoint()).toBe(121);
  });
});

async function onlyEvent() {
  const [event] = await events.readAfter(0, 1);
  if (event === undefined) throw new Error('nothing was published');
  return event;
}

/** Holds what the query locks until it is released. */
async function locked(query: string): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('begin');
  await client.query(query);
  return async () => {
    await client.query('rollback');
    await client.end();
  };
}
