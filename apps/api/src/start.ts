import { setTimeout as sleep } from 'node:timers/promises';
import type { EventStore } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { postgresEventStore } from '@scrivener/events/postgres';
import { runProjection, type Memory, type ReadModel } from '@scrivener/read-model';
import { memoryReadModel } from '@scrivener/read-model/memory';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import {
  ConfigError,
  drainOnSignal,
  showPool,
  type Context,
  type Logger,
} from '@scrivener/runtime';
import { createRegisters, projectionGauges, type Check } from '@scrivener/runtime/monitoring';
import type { Signer } from '@scrivener/signing';
import { createQueueSigner, redisOptions, type QueueSigner } from '@scrivener/signing/bullmq';
import {
  createRemoteSigner,
  type RemoteSigner,
  type RemoteSignerOptions,
} from '@scrivener/signing/grpc';
import { createMemorySigner } from '@scrivener/signing/memory';
import { createAdmission, type Admission } from './admission/admission.ts';
import { admissionMetrics } from './admission/admission-metrics.ts';
import { createApp, type Deps } from './app.ts';
import { createAuthenticate, createRecallPuller } from './auth/authenticate.ts';
import { createTokens } from './auth/tokens.ts';
import { runBackground } from './renewal/background.ts';
import type { Config } from './config.ts';
import { expiryGauges, renewalCounter } from './renewal/expiry-metrics.ts';
import { createClientOf } from './history/client.ts';
import { createFeed } from './history/feed.ts';
import { historyMetrics } from './history/history-metrics.ts';
import { createPastTurnstile, createStreams } from './history/streams.ts';
import { createHealth, queueCheck, remoteCheck } from './monitoring/health.ts';
import { createMetrics } from './monitoring/metrics.ts';
import { createHotAnswers } from './hot/hot-answers.ts';
import { createKeptFiles, keepNothing } from './hot/kept-files.ts';
import { createServer } from './server.ts';
import { queueGauges, timedSigner } from './monitoring/signing-metrics.ts';
import { traceProjected } from './monitoring/trace-projected.ts';
import { createUseCases } from './use-cases.ts';

const now = () => new Date();

/** Resolves when the server is up; it runs on until a signal ends it. */
export async function startServer(
  config: Config,
  { logger, debug, group }: Context,
): Promise<void> {
  const { signer, queue, check } = openSigner(config, logger);
  const stopProjecting = new AbortController();
  const { events, readModel, projecting } = await openStorage(
    config,
    { logger, debug },
    stopProjecting.signal,
  );
  const { health, ready, drain } = createHealth(readModel, check);
  debug.checkHealth(health);
  if (queue !== undefined) debug.show('queue', () => queue.depth());
  const registers = createRegisters(group?.worker);
  const { counts: register, shared } = registers;
  const count = renewalCounter(register);
  const admission = createAdmission(config.admission);
  admissionMetrics(register, admission);
  const join =
    config.memoryBytes === 0 ? undefined : (memory: Memory) => readModel.readers.join(memory);
  const useCases = createUseCases({
    events,
    readModel,
    signer: timedSigner(signer, register),
    algorithm: config.trustService.type === 'local' ? 'ed25519' : config.trustService.keyAlgorithm,
    logger,
    now,
    timeoutMs: config.answerMs,
    guard: config.guard,
    join,
    countRenewal: count,
  });
  const streams = createStreams(events);
  const pastTurnstile = createPastTurnstile(config.history);
  historyMetrics(register, pastTurnstile);
  const feed = createFeed(events, streams, config.eventStreams);
  const kept =
    join === undefined ? keepNothing : createKeptFiles(join, { bytes: config.memoryBytes, now });
  const sources = [
    projectionGauges(shared, () => readModel.lag()),
    expiryGauges(shared, readModel.expiries, now),
    ...(queue === undefined ? [] : [queueGauges(shared, queue)]),
  ];
  const metrics = createMetrics({ registers, sources, group });
  const { caching } = config;
  const auth = config.auth && { ...config.auth, now };
  const tokens = auth && createTokens(auth);
  const app = createApp({
    ...useCases,
    ...admitted(useCases, admission),
    admission,
    past: {
      events,
      streams,
      caching,
      now,
      timeoutMs: config.answerMs,
      turnstile: pastTurnstile,
    },
    feed,
    readModel,
    kept,
    expiries: readModel.expiries,
    health,
    ready,
    now,
    logger,
    metrics,
    caching,
    ...(auth && { authenticate: createAuthenticate(auth, tokens) }),
    clientOf: createClientOf(config.audit),
    gunPrefixes: config.gunPrefixes,
    limits: config.uploads,
  });
  const server = createServer(app, {
    tls: config.tls,
    times: config.times,
    connections: config.connections,
    hot: createHotAnswers({
      kept,
      caching,
      metrics,
      logger,
      recallPuller: tokens && createRecallPuller(tokens),
    }),
  });

  logger.info('Starting Server');
  if (config.tls !== undefined) logger.info('Enabling TLS');
  await server.listen(config.address.port, config.address.host);
  logger.info(`Starting on ${config.address.written}`);

  const stopRenewing = new AbortController();
  const background = runBackground(
    { readModel, renew: useCases.renew, count, logger, now },
    config.renewal,
    stopRenewing.signal,
  );

  drainOnSignal(logger, async () => {
    drain();
    stopRenewing.abort();
    await sleep(config.drainMs);
    await feed.close();
    await server.close();
    await background;
    stopProjecting.abort();
    await projecting;
    await signer.close();
    await readModel.close();
    await events.close();
  });
}

/** Changes that clients ask for, as many at once as this process takes on. Renewals have limits of their own. */
function admitted(
  useCases: ReturnType<typeof createUseCases>,
  admission: Admission,
): Pick<Deps, 'publish' | 'serverKey' | 'rotateKey' | 'deleteRepository'> {
  return {
    publish: (command) => admission.change(() => useCases.publish(command)),
    serverKey: (...question) => admission.change(() => useCases.serverKey(...question)),
    rotateKey: (...question) => admission.change(() => useCases.rotateKey(...question)),
    deleteRepository: (...question) =>
      admission.change(() => useCases.deleteRepository(...question)),
  };
}

interface Storage {
  readonly events: EventStore;
  readonly readModel: ReadModel;
  /** Where this process is its own projector: settles when that has stopped. */
  readonly projecting?: Promise<void>;
}

async function openStorage(
  { storage }: Config,
  { logger, debug }: Context,
  signal: AbortSignal,
): Promise<Storage> {
  switch (storage.backend) {
    case 'memory': {
      logger.info('Using memory backend');
      const events = memoryEventStore();
      const readModel = memoryReadModel(events);
      const onError = (err: unknown) => logger.error({ err }, 'projection failed');
      return {
        events,
        readModel,
        projecting: runProjection(readModel, events, { signal, onError }),
      };
    }
    case 'postgres': {
      logger.info('Using postgres backend');
      const readModel = await postgresReadModel(storage.databaseUrl, {
        onProjected: traceProjected,
        onPool: showPool(debug, 'read model pool'),
      });
      const events = await postgresEventStore(storage.databaseUrl, {
        rider: readModel.rider,
        onPool: showPool(debug, 'log pool'),
      });
      return { events, readModel };
    }
  }
}

function openSigner(
  { trustService }: Config,
  logger: Logger,
): { readonly signer: Signer; readonly queue?: QueueSigner; readonly check?: Check } {
  switch (trustService.type) {
    case 'local':
      logger.info(
        'Using local signing service, which requires ED25519. ' +
          'Ignoring all other trust_service parameters, including keyAlgorithm',
      );
      return { signer: createMemorySigner() };
    case 'remote': {
      const remote = openRemoteSigner(trustService);
      return { signer: remote, check: remoteCheck(remote) };
    }
    case 'queue': {
      const queue = createQueueSigner({
        redis: redisOptions(trustService.redis),
        keys: trustService.jobKeys,
        prefix: trustService.prefix,
        onError: (err) => logger.warn({ err }, 'trouble with the queue'),
      });
      return { signer: queue, queue, check: queueCheck(queue) };
    }
  }
}

function openRemoteSigner(options: RemoteSignerOptions): RemoteSigner {
  try {
    return createRemoteSigner(options);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
