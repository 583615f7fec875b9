import { postgresEventStore } from '@scrivener/events/postgres';
import { runProjection } from '@scrivener/read-model';
import { postgresGenerations, postgresReadModel } from '@scrivener/read-model/postgres';
import {
  drainOnSignal,
  runProgram,
  waitForDatabase,
  type Context,
  showPool,
} from '@scrivener/runtime';
import { serveMonitor } from '@scrivener/runtime/monitoring';
import { PROJECTOR_PREFIX, projectorSettings, readProjectorConfig, type Config } from './config.ts';
import { runScheduledFsck } from './fsck/scheduled.ts';
import { keepUp } from './keep-up.ts';
import { createMonitoring, type Monitoring } from './monitoring.ts';

/** Enough for the one loop and a look at the checkpoint. */
const POOL_SIZE = 2;
/** Before the first run of fsck, in milliseconds: a projector that has just started may have to catch up. */
const FIRST_FSCK = 60_000;

runProgram({
  name: 'projector',
  settings: projectorSettings,
  prefix: PROJECTOR_PREFIX,
  startsWithoutFile: true,
  read: readProjectorConfig,
  start: project,
});

async function project(
  { databaseUrl, metricsAddress, fsckEvery }: Config,
  { logger, debug }: Context,
): Promise<void> {
  const monitoring = createMonitoring(logger);
  debug.checkHealth(monitoring.health);
  const monitor = metricsAddress && (await serveMonitor(metricsAddress, monitoring));
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: Promise<void> | undefined;
  drainOnSignal(logger, async () => {
    monitor?.drain();
    stopping.abort();
    await running;
  });

  running = untilStopped(async () => {
    await waitForDatabase(databaseUrl, {
      signal,
      onWaiting: (reason) => logger.warn(`waiting for the database: ${reason}`),
    });
    const events = await postgresEventStore(databaseUrl, {
      poolSize: POOL_SIZE,
      onPool: showPool(debug, 'log pool'),
    });
    const readModel = await postgresReadModel(databaseUrl, {
      poolSize: POOL_SIZE,
      onProjected: (batch) => monitoring.projected(batch),
      onPool: showPool(debug, 'read model pool'),
    });
    monitoring.watch(readModel);
    logger.info('projecting');
    const checking = checkRegularly(fsckEvery, { databaseUrl, signal, monitoring });
    const onError = (error: unknown) => monitoring.failed(error);
    const generations = postgresGenerations(databaseUrl);
    const keepingUp = keepUp(generations, { signal, onError });
    await runProjection(readModel, events, { signal, onError });
    await keepingUp;
    await generations.close();
    await checking;
    await readModel.close();
    await events.close();
  }, signal);
  await running;
}

async function checkRegularly(
  every: number | undefined,
  { monitoring, ...options }: FsckSurroundings,
): Promise<void> {
  if (every === undefined) return;
  await runScheduledFsck({
    ...options,
    first: FIRST_FSCK,
    every,
    onOutcome: (outcome) => monitoring.checked(outcome),
    onError: (error) => monitoring.notChecked(error),
  });
}

interface FsckSurroundings {
  readonly databaseUrl: string;
  readonly signal: AbortSignal;
  readonly monitoring: Monitoring;
}

/** Being told to stop while the database is away is no failure. */
async function untilStopped(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  await work().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
