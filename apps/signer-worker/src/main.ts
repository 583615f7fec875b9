import { setTimeout as delay } from 'node:timers/promises';
import {
  ConfigError,
  drainOnSignal,
  runProgram,
  waitForDatabase,
  type Context,
  type Logger,
} from '@scrivener/runtime';
import { createChecks, serveMonitor } from '@scrivener/runtime/monitoring';
import { createKeySigner, type KeyStore } from '@scrivener/signing';
import { redisOptions, serveSigner, type ServedSigner } from '@scrivener/signing/bullmq';
import { MemoryKeyStore } from '@scrivener/signing/memory';
import { readWorkerConfig, SIGNER_PREFIX, signerSettings, type Config } from './config.ts';
import { createWorkerMetrics, type WorkerMetrics } from './metrics.ts';
import { PostgresKeyStore } from './postgres/key-store.ts';
import { countRefusedJobs } from './refused-jobs.ts';
import { createSealer, SealError, type Sealer } from './seal.ts';

/** Pause between looks at a database that has no tables yet, in milliseconds. */
const TABLES_PAUSE = 500;

runProgram({
  name: 'notary-signer',
  settings: signerSettings,
  prefix: SIGNER_PREFIX,
  startsWithoutFile: true,
  read: readWorkerConfig,
  start: startWorker,
});

async function startWorker(config: Config, { logger, debug }: Context): Promise<void> {
  const keys = openKeyStore(config);
  let served: ServedSigner | undefined;
  const metrics = createWorkerMetrics();
  const health = createChecks({
    'DB operational': () => databaseTrouble(keys),
    'Queue operational': async () => (served?.isConnected() ? undefined : 'no connection'),
  });
  debug.checkHealth(health);
  const monitor =
    config.metricsAddress &&
    (await serveMonitor(config.metricsAddress, { health, metrics: metrics.render }));

  const stopping = new AbortController();
  drainOnSignal(logger, async () => {
    monitor?.drain();
    stopping.abort();
    await served?.close();
    await keys.close();
  });

  // A job is only taken by a worker that can do it: another may be better off.
  await untilUsable(config, keys, logger, stopping.signal).catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  if (stopping.signal.aborted) return;
  served = serve(config, keys, metrics, logger);
  await served.ready();
  logger.info('taking jobs');
}

function openKeyStore({ storage }: Config): MemoryKeyStore | PostgresKeyStore {
  if (storage.backend === 'memory') return new MemoryKeyStore();
  const sealer = openSealer(storage.defaultAlias);
  return new PostgresKeyStore({ databaseUrl: storage.databaseUrl, sealer });
}

function openSealer(defaultAlias: string): Sealer {
  try {
    return createSealer(process.env, defaultAlias);
  } catch (error) {
    if (error instanceof SealError) throw new ConfigError(error.message, { cause: error });
    throw error;
  }
}

async function databaseTrouble(
  keys: MemoryKeyStore | PostgresKeyStore,
): Promise<string | undefined> {
  if (keys instanceof PostgresKeyStore) await keys.check();
  return undefined;
}

function serve(
  { queue, concurrency }: Config,
  keys: KeyStore,
  metrics: WorkerMetrics,
  logger: Logger,
): ServedSigner {
  if (queue === undefined) throw new ConfigError('server.grpc_addr is not there yet');
  const refusedJobs = countRefusedJobs(logger);
  return serveSigner({
    signer: createKeySigner(keys),
    redis: redisOptions(queue.redis),
    keys: queue.jobKeys,
    prefix: queue.prefix,
    concurrency,
    onError: (err, jobId) => {
      if (jobId === undefined) logger.warn({ err }, 'trouble with the queue');
      else {
        metrics.failed();
        logger.error({ err, jobId }, 'a job failed');
      }
    },
    onRefused: (reason, jobId) => {
      metrics.refused(reason);
      refusedJobs.onRefused(reason, jobId);
    },
    onAnswered: (job) => {
      metrics.answered(job);
      const { id: jobId, name, outcome, milliseconds } = job;
      logger.info(
        { jobId, job: name, outcome, duration: `${milliseconds.toFixed(3)}ms` },
        'answered',
      );
    },
  });
}

/** Waits, for ever if need be, until the database is there with its tables. */
async function untilUsable(
  { storage }: Config,
  keys: MemoryKeyStore | PostgresKeyStore,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  if (storage.backend === 'memory' || keys instanceof MemoryKeyStore) return;
  await waitForDatabase(storage.databaseUrl, {
    signal,
    onWaiting: (reason) => logger.warn(`waiting for the database: ${reason}`),
  });
  for (let told = false; ; told = true) {
    try {
      await keys.check();
      return;
    } catch (err) {
      if (!told) logger.warn({ err }, 'waiting for the tables of the database');
    }
    await delay(TABLES_PAUSE, undefined, { signal });
  }
}
