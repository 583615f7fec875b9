/*
 * How many questions signer workers answer and what each costs: `npm run measure -w
 * @scrivener/signer-worker` with DATABASE_URL and REDIS_URL set. One answer is two signatures. Each
 * figure is the median of several rounds; variants take turns, so that they meet the same machine.
 * Cores are CPU time by time: of the workers, of the asker, and of everything on the machine, the stores
 * included. Where the last is all that it has, the workers did not get what they could have used.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createQueueSigner, type QueueSigner } from '@scrivener/signing/bullmq';
import { testRedis } from '@scrivener/signing/bullmq/testing';
import { createKeys, publishRequest, type RepositoryKeys } from '@scrivener/signing/testing';
import { createTestDatabase } from './database.ts';
import { startWorker, type WorkerProcess } from './worker-process.ts';

/** In one round of one variant. */
const QUESTIONS = 1_500;
const ROUNDS = 5;
/** Repositories whose files are signed; keys of all are in the workers' memory. */
const REPOSITORIES = 200;
/** Kernel clock ticks per second, in which /proc counts. */
const TICKS = 100;

interface Round {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU per question: of all workers, and of the asker. */
  readonly workers: number;
  readonly asker: number;
  /** CPU seconds by second, of all that runs on this machine. */
  readonly machine: number;
}

const database = await createTestDatabase();
const corner = testRedis();
const { redis, prefix, keys, jobKey } = corner;
const folder = mkdtempSync(join(tmpdir(), 'measure-'));
const jobKeyFile = join(folder, 'job-keys');
writeFileSync(jobKeyFile, jobKey);
const askers = {
  'a job each': createQueueSigner({ redis, prefix, keys, deadline: 60_000, mostTogether: 1 }),
  together: createQueueSigner({ redis, prefix, keys, deadline: 60_000 }),
};

const workers: WorkerProcess[] = [];
let version = 0n;
for (const count of [1, 2]) {
  workers.push(await start());
  const repositories = await Promise.all(
    Array.from({ length: REPOSITORIES }, () => createKeys(askers.together, 'ecdsa')),
  );
  for (const atOnce of [1, 16, 64]) await compare(count, repositories, atOnce);
  await compareKeys(count);
}

for (const asker of Object.values(askers)) await asker.close();
for (const worker of workers) worker.signal('SIGTERM');
await Promise.all(workers.map((worker) => worker.ended));
await corner.empty();
await database.drop();
rmSync(folder, { recursive: true });

async function start(): Promise<WorkerProcess> {
  const worker = startWorker({
    NOTARY_SIGNER_STORAGE_BACKEND: 'postgres',
    NOTARY_SIGNER_STORAGE_DB_URL: database.url,
    NOTARY_SIGNER_DEFAULT_ALIAS: 'ts1',
    NOTARY_SIGNER_TS1: 'swordfish',
    NOTARY_SIGNER_QUEUE_HOSTNAME: redis.host,
    NOTARY_SIGNER_QUEUE_PORT: String(redis.port),
    NOTARY_SIGNER_QUEUE_PREFIX: prefix,
    NOTARY_SIGNER_QUEUE_JOB_KEY_FILE: jobKeyFile,
    NOTARY_SIGNER_LOGGING_LEVEL: 'warn',
  });
  while ((await askers.together.health()).workers <= workers.length) await delay(100);
  return worker;
}

async function compare(
  count: number,
  repositories: readonly RepositoryKeys[],
  atOnce: number,
): Promise<void> {
  const questions = atOnce === 1 ? QUESTIONS / 5 : QUESTIONS;
  await takeTurns(`${count} worker(s), sign, ${atOnce} at once`, (asker) =>
    round(questions, atOnce, async (at) => {
      const repository = repositories[at % repositories.length];
      if (repository === undefined) throw new Error('no repository');
      await asker.sign(publishRequest(repository, (version += 1n)));
    }),
  );
}

/** The keys of a new repository are two questions. */
async function compareKeys(count: number): Promise<void> {
  await takeTurns(`${count} worker(s), two new keys, 16 at once`, (asker) =>
    round(QUESTIONS / 5, 16, async () => {
      await createKeys(asker, 'ecdsa');
    }),
  );
}

async function takeTurns(
  what: string,
  measure: (asker: QueueSigner) => Promise<Round>,
): Promise<void> {
  const rounds = Object.entries(askers).map(([name, asker]) => ({
    name,
    asker,
    done: [] as Round[],
  }));
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    for (const { asker, done } of rounds) done.push(await measure(asker));
  }
  for (const { name, done } of rounds) {
    const median = (of: (round: Round) => number) => quantile(done.map(of), 0.5);
    console.log(
      `${what}, ${name}: ${median(({ rate }) => rate).toFixed(0)}/s, ` +
        `p50 ${median(({ p50 }) => p50).toFixed(1)} ms, p99 ${median(({ p99 }) => p99).toFixed(1)} ms, ` +
        `CPU ${median((each) => each.workers).toFixed(0)} us in workers, ${median((each) => each.asker).toFixed(0)} us in the asker; ` +
        `cores: ${median((each) => (each.workers * each.rate) / 1e6).toFixed(2)} workers, ` +
        `${median((each) => (each.asker * each.rate) / 1e6).toFixed(2)} asker, ` +
        `${median((each) => each.machine).toFixed(2)} of ${availableParallelism()} in all`,
    );
  }
}

async function round(
  questions: number,
  atOnce: number,
  ask: (at: number) => Promise<void>,
): Promise<Round> {
  const times: number[] = [];
  let next = 0;
  const loop = async () => {
    for (let at = next++; at < questions; at = next++) {
      const begin = performance.now();
      await ask(at);
      times.push(performance.now() - begin);
    }
  };
  const [before, all, own] = [cpuOfWorkers(), busyOfMachine(), process.cpuUsage()];
  const begin = performance.now();
  await Promise.all(Array.from({ length: atOnce }, loop));
  const seconds = (performance.now() - begin) / 1_000;
  const { user, system } = process.cpuUsage(own);
  return {
    rate: questions / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    workers: (cpuOfWorkers() - before) / questions,
    asker: (user + system) / questions,
    machine: (busyOfMachine() - all) / seconds,
  };
}

/** In microseconds, all threads. */
function cpuOfWorkers(): number {
  return workers.reduce((sum, { pid }) => {
    // The second field is a name in brackets, and may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return sum + ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1_000_000;
  }, 0);
}

/** Seconds that all cores together were at work, since the machine started. */
function busyOfMachine(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    readFileSync('/proc/stat', 'utf8').split('\n')[0]?.trim().split(/\s+/).slice(1).map(Number) ??
    [];
  return (user + nice + system + irq + softirq) / TICKS;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * sorted.length)] ?? Number.NaN;
}
