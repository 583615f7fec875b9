import { emptyRepository, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { gunOf, storyteller } from '@scrivener/events/testing';
import type { Gun } from '@scrivener/tuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Reader } from '../readers.ts';
import type { ReadModel } from '../read-model.ts';
import { postgresReadModel } from './read-model.ts';

let database: TestDatabase;
let events: EventStore;
const open: ReadModel[] = [];
const never = new AbortController().signal;
beforeEach(async () => {
  database = await testDatabase();
  events = await postgresEventStore(database.url);
});
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  await events.close();
  await database.drop();
});

interface Process {
  readonly readModel: ReadModel;
  readonly reader: Reader;
  readonly forgotten: Set<Gun | 'all'>;
}

/** A process that has joined the readers. */
async function joined(): Promise<Process> {
  const readModel = await postgresReadModel(database.url);
  open.push(readModel);
  const forgotten = new Set<Gun | 'all'>();
  const reader = readModel.readers.join({
    forget: (changed) => {
      for (const gun of changed.keys()) forgotten.add(gun);
    },
    forgetAll: () => forgotten.add('all'),
  });
  await vi.waitUntil(() => reader.mayAnswer(), 20_000);
  forgotten.clear();
  return { readModel, reader, forgotten };
}

/** Something happens to this repository, and is projected. */
async function happened(gun: Gun, { readModel }: Pick<Process, 'readModel'>): Promise<number> {
  const { recorded } = await storyteller(events).publish(emptyRepository(gun));
  while ((await readModel.project()) !== 'idle');
  return recorded.position;
}

describe('readers', () => {
  test('have forgotten what changed when a writer in another process has waited for them', async () => {
    const [writer, reader] = [await joined(), await joined()];
    const gun = gunOf('a/b');

    const position = await happened(gun, writer);
    await writer.readModel.readers.seen(position, never);

    expect([...writer.forgotten]).toEqual([gun]);
    expect([...reader.forgotten]).toEqual([gun]);
    expect(reader.reader.mayAnswer()).toBe(true);
  });

  test('that stand still hold a writer up until their lease is over, and are put out', async () => {
    const writer = await joined();
    const stopped = `insert into readers (instance, seen) values (gen_random_uuid(), 0)`;
    await database.query(stopped);
    const position = await happened(gunOf('a/b'), writer);
    const started = performance.now();

    await writer.readModel.readers.seen(position, never);

    expect(performance.now() - started).toBeGreaterThan(1_000);
    expect(await database.query('select from readers')).toHaveLength(1);
    await writer.readModel.readers.seen(position, never);
  });

  test('that were put out forget everything before they answer again', async () => {
    const reader = await joined();

    await database.query('delete from readers');
    await vi.waitUntil(() => reader.forgotten.has('all'), 20_000);
    await vi.waitUntil(() => reader.reader.mayAnswer(), 20_000);

    expect(await database.query('select from readers')).toHaveLength(1);
  });

  test('forget everything after a replay, and where the database was restored to an earlier state', async () => {
    const reader = await joined();
    await happened(gunOf('a/b'), reader);
    await reader.readModel.replay();
    await vi.waitUntil(() => reader.forgotten.has('all'), 20_000);
    await vi.waitUntil(() => reader.reader.mayAnswer(), 20_000);
    reader.forgotten.clear();

    await database.query(`update projections set position = 0`);
    await vi.waitUntil(() => reader.forgotten.has('all'), 20_000);
    expect(reader.forgotten).toContain('all');
  });

  test('leave nothing behind when they end, and no writer waits for them', async () => {
    const writer = await joined();
    const reader = await joined();
    open.splice(open.indexOf(reader.readModel), 1);
    await reader.readModel.close();

    expect(reader.reader.mayAnswer()).toBe(false);
    expect(await database.query('select from readers')).toHaveLength(1);
    await writer.readModel.readers.seen(await happened(gunOf('a/b'), writer), never);
  });

  test('show nothing new while another may still show what was there before', async () => {
    const { readModel } = await joined();
    const gun = gunOf('a/b');
    await database.query(`insert into readers (instance, seen) values (gen_random_uuid(), 0)`);
    await happened(gun, { readModel });
    const started = performance.now();

    const file = await readModel.current(gun, 'timestamp');

    expect(file?.version).toBe(1n);
    expect(performance.now() - started).toBeGreaterThan(1_000);
    expect(await database.query('select from readers')).toHaveLength(1);
  });
});
