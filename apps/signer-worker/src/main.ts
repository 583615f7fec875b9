import { setTimeout as delay } from 'node:timers/promises';
import {
  ConfigError,
  createLogger,
  drainOnSignal,
  waitForDatabase,
  type Logger,
} from '@scrivener/runtime';
import { createKeySigner, type KeyStore } from '@scrivener/signing';
import { redisOptions, serveSigner, type ServedSigner } from '@scrivener/signing/bullmq';
import { MemoryKeyStore } from '@scrivener/signing/memory';
import { parseArguments, UsageError } from './arguments.ts';
import { readWorkerConfig, type Config } from './config.ts';
import { PostgresKeyStore } from './postgres/key-store.ts';
import { createSealer, SealError } from './seal.ts';

/** Pause between looks at a database that has no tables yet, in milliseconds. */
const TABLES_PAUSE = 500;

/** Runs until `stopping` is aborted, by SIGTERM or SIGINT. */
async function main(stopping: AbortController): Promise<void> {
  const { config: file } = parseArguments(process.argv.slice(2));
  const config = readWorkerConfig(file, process.env);
  const logger = createLogger(config.logLevel);
  const keys = openKeyStore(config);

  let served: ServedSigner | undefined;
  drainOnSignal(logger, async () => {
    stopping.abort();
    await served?.close();
    await keys.close();
  });

  // A job is only taken by a worker that can do it: another may be better off.
  await untilUsable(config, keys, logger, stopping.signal);
  served = serve(config, keys, logger);
  await served.ready();
  logger.info('taking jobs');
}

function openKeyStore({ storage }: Config): MemoryKeyStore | PostgresKeyStore {
  if (storage.backend === 'memory') return new MemoryKeyStore();
  const sealer = createSealer(process.env, storage.defaultAlias);
  return new PostgresKeyStore({ databaseUrl: storage.databaseUrl, sealer });
}

function serve({ queue, concurrency }: Config, keys: KeyStore, logger: Logger): ServedSigner {
  return serveSigner({
    signer: createKeySigner(keys),
    redis: redisOptions(queue),
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

const stopping = new AbortController();
main(stopping).catch((error: unknown) => {
  if (stopping.signal.aborted) return; // told to stop while it waited; the drain ends the process
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\nusage: notary-signer [-config FILE]\n`);
    process.exit(2);
  }
  const logger = createLogger('fatal');
  const expected = error instanceof ConfigError || error instanceof SealError;
  if (expected) logger.fatal(error.message);
  else logger.fatal({ err: error }, 'cannot start');
  process.exit(1);
});
