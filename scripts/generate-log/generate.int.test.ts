import { firstBrokenLink, type RecordedEvent } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase } from '@scrivener/events/postgres/testing';
import { describe, expect, test } from 'vitest';
import { generateLog } from './generate.ts';

const plan = { events: 600, collections: 6, seed: 7, end: Date.parse('2026-11-25T00:00:00Z') };

async function generated(threads: number) {
  const database = await testDatabase();
  try {
    await generateLog({ ...plan, url: database.url, threads });
    const events = await postgresEventStore(database.url);
    const log = await events.readAfter(0, 1_000);
    const files = await database.query<{ count: number }>(
      `select count(*)::int as count from (
         select decode(ref ->> 'sha256', 'hex') as sha256
         from events, json_array_elements(data -> 'metafiles') as ref where type like '%ed'
           and data -> 'metafiles' is not null
       ) as named left join files using (sha256) where bytes is null`,
    );
    const heads = await database.query<{ position: string }>('select position from log_head');
    await events.close();
    return { log, missing: files[0]?.count, head: Number(heads[0]?.position) };
  } finally {
    await database.drop();
  }
}

const lives = (log: readonly RecordedEvent[]) =>
  log.map(({ position, version, event: { gun, at, type, cause } }) => {
    return { position, version, gun, at, type, cause };
  });

describe('generateLog', () => {
  test('makes a log that a server could have written, the same lives for any number of threads', async () => {
    const [one, two] = await Promise.all([generated(1), generated(2)]);

    expect(one.log.map(({ position }) => position)).toEqual(
      Array.from({ length: plan.events }, (_, n) => n + 1),
    );
    expect(one).toMatchObject({ missing: 0, head: plan.events });
    expect(lives(two.log)).toEqual(lives(one.log)); // ECDSA signs the same in another way each time
    const streams = Map.groupBy(one.log, ({ event }) => event.gun);
    expect(streams.size).toBe(plan.collections);
    for (const stream of streams.values()) expect(firstBrokenLink(stream)).toBeUndefined();
    const types = new Set(one.log.map(({ event }) => event.type));
    expect([...types].sort()).toEqual([
      'KeyCreated',
      'RepositoryDeleted',
      'RepositoryRestored',
      'RoleRenewed',
      'UpdatePublished',
    ]);
  });
});
