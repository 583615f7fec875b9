// Two APIs that answer from memory: what one of them has published, the other never denies.

import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { benchRedis } from '../bench/limits/redis.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { addTarget, createCollection, readSigned, type Collection } from './collection.ts';
import { exchange, getFile } from './tuf-http.ts';

const LIMIT = 60_000;

let cluster: Cluster;
let first: string;
let second: string;
beforeAll(async () => {
  cluster = await startCluster({ apis: 2 });
  const [one, other = ''] = cluster.urls;
  [first, second] = [one, other];
  await cluster.healthy();
}, LIMIT);
afterAll(() => cluster?.stop(), LIMIT);

/** Transactions of this cluster's server database, and commands of its Redis, since they were started. */
async function storeWork(): Promise<{ transactions: number; commands: number }> {
  await sleep(1_500); // until Postgres has added up what its sessions did
  const client = new Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ count: string }>(
    `select xact_commit + xact_rollback as count from pg_stat_database
     where datname = current_database()`,
  );
  await client.end();
  const queue = new Queue('memory-test', { connection: benchRedis(cluster.redis.port) });
  const info = await (await queue.getBackend().client).info();
  await queue.close();
  const commands = Number(/^total_commands_processed:(\d+)/m.exec(info)?.[1]);
  return { transactions: Number(rows[0]?.count), commands };
}

test(
  'what is in memory costs neither database nor Redis anything',
  async () => {
    const { gun } = await createCollection(first);
    const files = ['1.root.json', 'root.json', 'timestamp.json', 'snapshot.json'];
    for (const file of files) expect((await getFile(first, gun, file)).status).toBe(200);
    const reads = 4_000;

    const before = await storeWork();
    const clients = Array.from({ length: 16 }, async () => {
      for (let n = 0; n < reads / 16; n += 1) {
        expect((await getFile(first, gun, files[n % files.length] ?? '')).status).toBe(200);
      }
    });
    await Promise.all(clients);
    const after = await storeWork();

    // leases, heartbeats and the like go on, some dozens in a second
    expect(after.transactions - before.transactions).toBeLessThan(reads / 4);
    expect(after.commands - before.commands).toBeLessThan(reads / 4);
  },
  LIMIT,
);

async function versionAt(url: string, { gun }: Collection): Promise<number[]> {
  const files = ['timestamp.json', 'snapshot.json', 'targets.json'];
  return Promise.all(files.map(async (file) => (await readSigned(url, gun, file)).version));
}

describe('a publish through one API', () => {
  test(
    'is what the other serves from the moment in which it is answered',
    async () => {
      const collection = await createCollection(first);
      for (let version = 2; version < 22; version += 1) {
        const [here, there] = version % 2 === 0 ? [first, second] : [second, first];
        await versionAt(there, collection);
        expect((await addTarget(here, collection, 'targets', `file-${version}`)).status).toBe(200);

        expect(await versionAt(there, collection)).toEqual([version, version, version]);
      }
    },
    LIMIT,
  );

  test(
    'waits for another that is stopped no longer than its lease, and on waking that one serves nothing old',
    async () => {
      const stopped = cluster.processes.api[1];
      if (stopped === undefined) throw new RangeError('there is no second API');
      const [moving, going] = [await createCollection(first), await createCollection(first)];
      for (const collection of [moving, going]) {
        expect(await versionAt(second, collection)).toEqual([1, 1, 1]);
      }

      stopped.signal('SIGSTOP');
      const started = performance.now();
      const publish = await addTarget(first, moving, 'targets', 'new');
      const took = performance.now() - started;
      const path = `/v2/${going.gun}/_trust/tuf/`;
      const { status: deleted } = await exchange('DELETE', `${first}${path}`);
      // Asked while it is stopped, so that this is the first thing that it sees.
      const asked = Promise.all([
        versionAt(second, moving),
        getFile(second, going.gun, '1.root.json'),
      ]);
      await sleep(200);
      stopped.signal('SIGCONT');

      expect([publish.status, deleted]).toEqual([200, 200]);
      expect(took).toBeGreaterThan(1_000);
      expect(took).toBeLessThan(9_000);
      const [versions, gone] = await asked;
      expect(versions).toEqual([2, 2, 2]);
      expect(gone.status).toBe(404);
    },
    LIMIT,
  );
});
