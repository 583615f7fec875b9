import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { Client, type ClientBase } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkRepositories } from '../../apps/projector/src/fsck/check-repositories.ts';
import type { Finding } from '../../apps/projector/src/fsck/finding.ts';
import { fsck } from '../../apps/projector/src/fsck/fsck.ts';
import { checkLogOrder, type RecordedHead } from '../../apps/projector/src/fsck/log-order.ts';
import { checkTables } from '../../apps/projector/src/fsck/tables.ts';
import { generateLog } from '../../scripts/generate-log/generate.ts';
import { createRandom } from '../torture/random.ts';
import { DROP_CONSTRAINTS, missed, MUTATIONS, pickVictim } from './mutations.ts';

const EVENTS = 240;
const ROUNDS = Math.ceil(100 / MUTATIONS.length);

describe('fsck of a log that the real code wrote', () => {
  let database: TestDatabase;
  let client: Client;
  let head: RecordedHead;
  beforeAll(async () => {
    database = await testDatabase();
    await generateLog({
      url: database.url,
      events: EVENTS,
      collections: 8,
      seed: 3,
      end: Date.parse('2026-11-25T00:00:00Z'),
    });
    const readModel = await postgresReadModel(database.url);
    while ((await readModel.project()) === 'more');
    await readModel.close();
    client = new Client({ connectionString: database.url });
    await client.connect();
  }, 120_000);
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  /** All that fsck does, in the transaction of the test. */
  const findings = async (expected: readonly RecordedHead[] = []): Promise<readonly Finding[]> => {
    const within = {
      query: (query: unknown, values: unknown) =>
        typeof query === 'string' && /^(begin|commit)/.test(query)
          ? Promise.resolve()
          : client.query(query as string, values as unknown[]),
    } as unknown as ClientBase;
    const order = await checkLogOrder(within, { expected, onProgress: () => {} });
    const { rows } = await client.query<{ digest: string }>(
      `select distinct encode(gun_sha256, 'hex') as digest from events`,
    );
    const checked = await checkRepositories(
      within,
      rows.map(({ digest }) => digest),
    );
    return [...order.findings, ...checked.findings, ...(await checkTables(within))];
  };

  const rolledBack = async (work: () => Promise<void>) => {
    await client.query('begin');
    try {
      await client.query(DROP_CONSTRAINTS);
      await work();
    } finally {
      await client.query('rollback');
    }
  };

  test('finds nothing wrong, in threads of its own', async () => {
    const report = await fsck({ url: database.url, threads: 2, expected: [] });

    expect(report).toMatchObject({ events: EVENTS, repositories: 8, findings: [] });
    head = report.head;
  });

  const cases = MUTATIONS.flatMap((mutation) =>
    Array.from({ length: ROUNDS }, (_, round) => ({ ...mutation, seed: round + 1 })),
  );
  test.each(cases)('names what was changed: $name (seed $seed)', async ({ where, apply, seed }) => {
    await rolledBack(async () => {
      const random = createRandom(seed);
      const victim = await pickVictim(client, where, EVENTS, { random });
      const without = new Set([victim.gun]);
      const other = await pickVictim(client, where, EVENTS, { random, without });

      const clues = await apply(client, victim, other);

      expect(clues).not.toEqual([]);
      expect(missed(clues, await findings())).toEqual([]);
    });
  });

  test.each([
    ['set back', 'update log_head set position = position - 1', 'log_head'],
    ['ahead', 'update log_head set position = position + 1', 'log_head'],
    [
      'set back with the events behind it',
      `with gone as (delete from events where position > ${EVENTS - 3} returning 1)
       update log_head set position = ${EVENTS - 3}`,
      'projections',
    ],
  ])('names a head of the log that was %s', async (_, sql, column) => {
    await rolledBack(async () => {
      await client.query(sql);

      expect(missed([{ kind: 'log', column }], await findings())).toEqual([]);
    });
  });

  test('a history that was rewritten as a whole is told by a head that was recorded elsewhere', async () => {
    await rolledBack(async () => {
      await client.query(
        `update events set hash = sha256(hash) where gun = (select gun from events limit 1)`,
      );

      const found = await findings([head]);
      expect(missed([{ kind: 'recorded-head', position: EVENTS }], found)).toEqual([]);
    });
  });

  test('a log that lost its end, and the read model with it, is told by a recorded head', async () => {
    await rolledBack(async () => {
      await client.query('delete from events; delete from metafiles; delete from changefeed');
      await client.query('delete from expiries; update log_head set position = 0');
      await client.query('update projections set position = 0');

      expect(await findings([head])).toEqual([
        expect.objectContaining({ kind: 'recorded-head', position: EVENTS }),
      ]);
    });
  });
});
