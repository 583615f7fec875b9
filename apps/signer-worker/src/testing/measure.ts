/*
 * How long a sign job takes and how many one worker does: `npm run measure -w @scrivener/signer-worker`
 * with DATABASE_URL and REDIS_URL set. Each job signs a snapshot and a timestamp.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createQueueSigner } from '@scrivener/signing/bullmq';
import { testRedis } from '@scrivener/signing/bullmq/testing';
import { createKeys, publishRequest } from '@scrivener/signing/testing';
import { createTestDatabase } from './database.ts';
import { startWorker } from './worker-process.ts';

const JOBS = 2_000;

const database = await createTestDatabase();
const corner = testRedis();
const { redis, prefix, keys, jobKey } = corner;
const folder = mkdtempSync(join(tmpdir(), 'measure-'));
const jobKeyFile = join(folder, 'job-keys');
writeFileSync(jobKeyFile, jobKey);
const worker = startWorker({
  NOTARY_SIGNER_STORAGE_BACKEND: 'postgres',
  NOTARY_SIGNER_STORAGE_DB_URL: database.url,
  NOTARY_SIGNER_DEFAULT_ALIAS: 'ts1',
  NOTARY_SIGNER_TS1: 'swordfish',
  NOTARY_SIGNER_QUEUE_HOSTNAME: redis.host,
  NOTARY_SIGNER_QUEUE_PORT: String(redis.port),
  NOTARY_SIGNER_QUEUE_PREFIX: prefix,
  NOTARY_SIGNER_QUEUE_JOB_KEY_FILE: jobKeyFile,
});
const asker = createQueueSigner({ redis, prefix, keys });
await worker.said('taking jobs');

for (const algorithm of ['ecdsa', 'ed25519'] as const) {
  const repository = await createKeys(asker, algorithm);
  let version = 0n;
  for (const atOnce of [1, 8, 32]) {
    const times: number[] = [];
    const loop = async () => {
      for (let job = 0; job < JOBS / atOnce; job += 1) {
        const begin = performance.now();
        await asker.sign(publishRequest(repository, (version += 1n)));
        times.push(performance.now() - begin);
      }
    };
    const begin = performance.now();
    await Promise.all(Array.from({ length: atOnce }, loop));
    const rate = times.length / ((performance.now() - begin) / 1_000);
    console.log(
      `${algorithm} ${atOnce} at once: ${rate.toFixed(0)} jobs/s, p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms`,
    );
  }
}

const fresh: number[] = [];
for (let round = 0; round < 100; round += 1) {
  const begin = performance.now();
  await createKeys(asker, 'ecdsa');
  fresh.push((performance.now() - begin) / 2);
}
console.log(`new ecdsa key: p50 ${quantile(fresh, 0.5)} ms, p99 ${quantile(fresh, 0.99)} ms`);

await asker.close();
worker.signal('SIGTERM');
await worker.ended;
await corner.empty();
await database.drop();
rmSync(folder, { recursive: true });

function quantile(values: readonly number[], share: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor(share * sorted.length)] ?? Number.NaN).toFixed(1);
}
