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
import { serveGrpcSigner, type ServedGrpcSigner } from '@scrivener/signing/grpc';
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
  let grpc: ServedGrpcSigner | undefined;
  const metrics = createWorkerMetrics();
  const health = createChecks({
    'DB operational': () => keys.check().then(() => undefined),
    ...(config.queue && {
      'Queue operational': async () => (served?.isConnected() ? undefined : 'no connection'),
    }),
  });
  debug.checkHealth(health);
  if (keys instanceof PostgresKeyStore) debug.show('key pool', () => keys.poolCounts());
  debug.show('queue', () => ({ connected: served?.isConnected() ?? false }));
  const monitor =
    config.metricsAddress &&
    (await serveMonitor(config.metricsAddress, { health, metrics: metrics.render }));

  const stopping = new AbortController();
  drainOnSignal(logger, async () => {
    monitor?.drain();
    stopping.abort();
    await Promise.all([served?.close(), grpc?.close()]);
    await keys.close();
  });

  // At once, for its health tells whether the keys are there.
  if (config.grpc !== undefined) {
    grpc = await serveGrpc(config.grpc, keys, metrics, logger);
    logger.info(`serving gRPC on ${config.grpc.address.written}`);
  }
  // A job is only taken by a worker that can do it: another may be better off.
  await untilUsable(config, keys, logger, stopping.signal).catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  if (stopping.signal.aborted || config.queue === undefined) return;
  served = serveQueue(config.queue, config.concurrency, keys, metrics, logger);
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

/** Is a Notary Signer to Notary Servers. */
async function serveGrpc(
  { address, tls, maxMessageBytes }: NonNullable<Config['grpc']>,
  keys: KeyStore,
  metrics: WorkerMetrics,
  logger: Logger,
): Promise<ServedGrpcSigner> {
  try {
    return await serveGrpcSigner({
      keys,
      address,
      tls,
      maxMessageBytes,
      onError: (err, call) => logger.error({ err, call }, 'a call failed'),
      onAnswered: (answered) => {
        metrics.called(answered);
        const { name: call, code, milliseconds } = answered;
        logger.info({ call, code, duration: `${milliseconds.toFixed(3)}ms` }, 'answered');
      },
    });
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function serveQueue(
  queue: NonNullable<Config['queue']>,
  concurrency: number,
  keys: KeyStore,
  metrics: WorkerMetrics,
  logger: Logger,
): ServedSigner {
  const refusedJobs = countRefusedJobs(logger);
  return serveSigner({
    signer: createKeySigner(keys),
    check: () => keys.check(),
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
