import type { EventStore } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { runProjection, type ReadModel } from '@scrivener/read-model';
import { memoryReadModel } from '@scrivener/read-model/memory';
import { createLogger } from '@scrivener/runtime';
import type { Signer } from '@scrivener/signing';
import { createMemorySigner } from '@scrivener/signing/memory';
import { parseMetafile, type Gun } from '@scrivener/tuf';
import { createPublisher, type Part, type Publisher } from '@scrivener/tuf/testing';
import { createUseCases, type Ports } from '../use-cases.ts';

type UseCases = ReturnType<typeof createUseCases>;

/** One log, its read model and one signer, and the use cases of any number of processes on them. */
export interface TestProcesses {
  readonly events: EventStore;
  readonly readModel: ReadModel;
  readonly signer: Signer;
  /** The use cases as one more process has them. */
  process(ports?: Partial<Ports>): UseCases;
  /** Stops projecting. */
  close(): void;
}

export function inMemory(now: () => Date = () => new Date()): TestProcesses {
  const logger = createLogger('fatal');
  const events = memoryEventStore();
  const readModel = memoryReadModel(events);
  const signer = createMemorySigner();
  const stop = new AbortController();
  const onError = (err: unknown) => logger.fatal({ err }, 'projection failed');
  void runProjection(readModel, events, { signal: stop.signal, onError });
  const ports = {
    events,
    readModel,
    signer,
    algorithm: 'ed25519',
    logger,
    now,
    timeoutMs: 10_000,
  } as const;
  return {
    events,
    readModel,
    signer,
    process: (more = {}) => createUseCases({ ...ports, ...more }),
    close: () => stop.abort(),
  };
}

/** The owner of a repository that has not been published yet; the server signs its snapshots, or not. */
export async function ownerOf(
  { serverKey }: UseCases,
  gun: Gun,
  { now = new Date(), ownSnapshot = false }: { now?: Date; ownSnapshot?: boolean } = {},
): Promise<Publisher> {
  const timestamp = await serverKey(gun, 'timestamp', {});
  const snapshot = ownSnapshot ? undefined : await serverKey(gun, 'snapshot', {});
  return createPublisher(gun, { serverKeys: { timestamp, ...(snapshot && { snapshot }) }, now });
}

/** What the route makes of a form. */
export function commandOf(gun: Gun, parts: readonly Part[]) {
  return { gun, upload: parts.map(({ role, bytes }) => parseMetafile(role, bytes)), cause: {} };
}
