import { setTimeout as delay } from 'node:timers/promises';
import {
  ConfigError,
  drainOnSignal,
  runProgram,
  waitForDatabase,
  type Context,
  type Logger,
} from '@scrivener/runtime';
import { createKeySigner, type KeyStore } from '@scrivener/signing';
import { redisOptions, serveSigner, type ServedSigner } from '@scrivener/signing/bullmq';
import { MemoryKeyStore } from '@scrivener/signing/memory';
import { readWorkerConfig, SIGNER_PREFIX, signerSettings, type Config } from './config.ts';
import { PostgresKeyStore } from './postgres/key-store.ts';
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

async function startWorker(config: Config, { logger }: Context): Promise<void> {
  const keys = openKeyStore(config);

  const stopping = new AbortController();
  let served: ServedSigner | undefined;
  drainOnSignal(logger, async () => {
    stopping.abort();
    await served?.close();
    await keys.close();
  });

  // A job is only taken by a worker that can do it: another may be better off.
  await untilUsable(config, keys, logger, stopping.signal).catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  if (stopping.signal.aborted) return;
  served = serve(config, keys, logger);
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

function serve({ queue, concurrency }: Config, keys: KeyStore, logger: Logger): ServedSigner {
  if (queue === undefined) throw new ConfigError('server.grpc_addr is not there yet');
  return serveSigner({
    signer: createKeySigner(keys),
    redis: redisOptions(queue.redis),
    keys: queue.jobKeys,
    prefix: queue.prefix,
    concurrency,
    onError: (err, jobId) => {
      if (jobId === undefined) logger.warn({ err }, 'trouble with the queue');
      else logger.error({ err, jobId }, 'a job failed');
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
