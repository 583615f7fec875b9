import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addDays } from '../expiries.ts';
import type { ReadModel } from '../read-model.ts';
import { ALARMS, CLAIM, SOONEST } from './expiries.ts';
import { postgresReadModel } from './read-model.ts';

const NOW = new Date('2026-11-22T00:00:00.000Z');

describe('expiries of 50,000 repositories', () => {
  let database: TestDatabase;
  let readModel: ReadModel;
  beforeAll(async () => {
    database = await testDatabase();
    readModel = await postgresReadModel(database.url);
    // Their ages are spread over the eight days after which the first of them is due.
    await database.query(
      `insert into expiries
       select gun, sha256(convert_to(gun, 'UTF8')), role, 'metadata', 1, made_by, published,
         published + life * interval '1 day'
       from (
         select 'many/' || n as gun, $1::timestamptz - n * interval '13 seconds' as published
         from generate_series(1, 50000) n
       ) as repository, (values
         ('timestamp', 'server', 14), ('snapshot', 'server', 1095),
         ('root', 'client', 3650), ('targets', 'client', 1095)
       ) as roles (role, made_by, life)`,
      [NOW],
    );
    await database.query('analyze expiries');
  });
  afterAll(async () => {
    await readModel.close();
    await database.drop();
  });

  const planOf = async (statement: string, values: unknown[]) => {
    const lines = await database.query<{ 'QUERY PLAN': string }>(`explain ${statement}`, values);
    return lines.map((line) => line['QUERY PLAN']).join('\n');
  };

  test.each([
    [
      'claims',
      CLAIM,
      'expiries_renewed',
      [NOW, NOW, 20, 0.33, 0.1, addDays(NOW, 6), addDays(NOW, 470)],
    ],
    ['the soonest', SOONEST, 'expiries_soonest', ['client', addDays(NOW, 30), 100]],
    ['alarms', ALARMS, 'expiries_soonest', [NOW, [90, 30, 7, 0], 500]],
  ])('%s are found by an index', async (_what, statement, index, values) => {
    const plan = await planOf(statement, values);

    expect(plan).toContain(index);
    expect(plan).not.toContain('Seq Scan on expiries ');
  });

  test('nothing that is due is left out, and what is not due is not given', async () => {
    const policy = { lifeLeft: 0.33, jitter: 0.1, limit: 100_000 };
    expect(await readModel.expiries.claim({ ...policy, now: NOW, until: NOW })).toEqual([]);

    const now = addDays(NOW, 2);
    const due = await readModel.expiries.claim({ ...policy, now, until: addDays(now, 1) });
    const [counted] = await database.query<{ count: string }>(
      `select count(*) from expiries where role = 'timestamp'
       and extract(epoch from expires_at - $1) / extract(epoch from expires_at - published_at)
         <= 0.33 + 0.1 * (get_byte(gun_sha256, 0) * 256 + get_byte(gun_sha256, 1)) / 65536.0`,
      [now],
    );

    expect(due.length).toBe(Number(counted?.count));
    expect(due.length).toBeGreaterThan(1_000);
    expect(await readModel.expiries.claim({ ...policy, now, until: now })).toEqual([]);
  });
});
