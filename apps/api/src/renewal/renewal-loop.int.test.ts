import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { createLogger } from '@scrivener/runtime';
import { createMemorySigner } from '@scrivener/signing/memory';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRenewalRound } from './renewal-loop.ts';
import { gunOf } from '../testing/client.ts';
import { commandOf, ownerOf } from '../testing/processes.ts';
import { createUseCases } from '../use-cases.ts';

const START = new Date('2026-11-22T00:00:00.000Z');
const settings = {
  enabled: true,
  lifeLeft: 0.33,
  jitter: 0,
  perSecond: 5,
  pollMs: 10,
  retryMs: 1_000,
} as const;

let database: TestDatabase;
let now = START;
const signer = createMemorySigner();
const logger = createLogger('fatal');

/** One API with connections of its own; nobody else projects. */
async function openProcess() {
  const [events, readModel] = await Promise.all([
    postgresEventStore(database.url),
    postgresReadModel(database.url),
  ]);
  const ports = { events, readModel, signer, logger, now: () => now, timeoutMs: 10_000 };
  const useCases = createUseCases({ ...ports, algorithm: 'ed25519' });
  const round = createRenewalRound(
    {
      expiries: readModel.expiries,
      renew: useCases.renew,
      count: () => {},
      logger,
      now: () => now,
    },
    settings,
  );
  const close = async () => {
    await readModel.close();
    await events.close();
  };
  return { ...useCases, events, readModel, round, close };
}

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

test('three APIs on one database share renewals, and none is done twice', async () => {
  const processes = await Promise.all([openProcess(), openProcess(), openProcess()]);
  const [first] = processes;
  if (first === undefined) throw new Error('there are processes');
  const guns = Array.from({ length: 12 }, (_, n) => gunOf(`registry/${n}`));
  for (const gun of guns) {
    const owner = await ownerOf(first, gun, { now });
    await first.publish(commandOf(gun, [owner.root(), owner.targets()]));
  }
  now = new Date(START.getTime() + 10 * 86_400_000);

  const shares = processes.map(() => 0);
  for (let left = 12; left > 0;) {
    const done = await Promise.all(processes.map(({ round }) => round()));
    done.forEach(({ claimed }, index) => (shares[index] = (shares[index] ?? 0) + claimed));
    left = done.reduce((sum, { claimed }) => sum + claimed, 0);
  }

  expect(shares.reduce((sum, share) => sum + share, 0)).toBe(12);
  const events = await first.events.readAfter(0, 1_000);
  const renewed = events.filter(({ event }) => event.type === 'RoleRenewed');
  expect(renewed.map(({ event }) => event.gun).sort()).toEqual(guns.sort());
  for (const gun of guns) {
    expect((await first.readModel.current(gun, 'timestamp'))?.version).toBe(2n);
  }
  expect(await database.query('select from renewal_claims')).toEqual([]);
  await Promise.all(processes.map(({ close }) => close()));
});
