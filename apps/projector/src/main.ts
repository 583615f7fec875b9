import { postgresEventStore } from '@scrivener/events/postgres';
import { runProjection } from '@scrivener/read-model';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import {
  createLogger,
  drainOnSignal,
  refuseWords,
  runProgram,
  waitForDatabase,
} from '@scrivener/runtime';
import { readProjectorConfig } from './config.ts';

/** Enough for the one loop and a look at the checkpoint. */
const POOL_SIZE = 2;

const USAGE = `usage: projector [-config FILE]
  -config FILE   settings, a JSON file; NOTARY_SERVER_* variables override it
  -help          this text`;

runProgram(USAGE, async ({ config: file, arguments: words }) => {
  refuseWords(words);
  const { databaseUrl, logLevel } = readProjectorConfig(file, process.env);
  const logger = createLogger(logLevel);
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: Promise<void> | undefined;
  drainOnSignal(logger, async () => {
    stopping.abort();
    await running;
  });

  running = untilStopped(async () => {
    await waitForDatabase(databaseUrl, {
      signal,
      onWaiting: (reason) => logger.warn(`waiting for the database: ${reason}`),
    });
    const events = await postgresEventStore(databaseUrl, { poolSize: POOL_SIZE });
    const readModel = await postgresReadModel(databaseUrl, { poolSize: POOL_SIZE });
    logger.info('projecting');
    await runProjection(readModel, events, {
      signal,
      onError: (err) => logger.warn({ err }, 'cannot project, trying again'),
    });
    await readModel.close();
    await events.close();
  }, signal);
  await running;
});

/** Being told to stop while the database is away is no failure. */
async function untilStopped(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  await work().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
