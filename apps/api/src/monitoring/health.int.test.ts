import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import type { ReadModel } from '@scrivener/read-model';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { startTcpProxy, type TcpProxy } from '@scrivener/signing/bullmq/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHealth, type Health } from './health.ts';

const AWAY = { 'DB operational': 'the database does not answer' };

let database: TestDatabase;
let proxy: TcpProxy;
let readModel: ReadModel;
let health: Health;
beforeEach(async () => {
  database = await testDatabase();
  const url = new URL(database.url);
  proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.port = String(proxy.port);
  readModel = await postgresReadModel(url.href);
  health = createHealth(readModel);
});
afterEach(async () => {
  await readModel.close();
  await proxy.close();
  await database.drop();
});

/** The old server was healthy for as long as its database hung (PEER-FAILURES §4.3). */
test.each(['cut', 'freeze'] as const)(
  'a database behind a network that fails (%s) is named within seconds, and forgiven when it is back',
  async (fail) => {
    expect(await health.health()).toEqual({});
    proxy[fail]();
    const failed = performance.now();
    await expect.poll(() => health.health(), { timeout: 10_000 }).toEqual(AWAY);
    expect(performance.now() - failed).toBeLessThan(8_000);
    // For a crowd as for one: nobody waits longer than a look may take.
    const asked = performance.now();
    const crowd = await Promise.all(Array.from({ length: 200 }, () => health.ready()));
    expect(crowd.every((troubles) => 'DB operational' in troubles)).toBe(true);
    expect(performance.now() - asked).toBeLessThan(8_000);

    await proxy.restore();

    await expect.poll(() => health.health(), { timeout: 15_000 }).toEqual({});
  },
);
