import type { EventStore } from '@scrivener/events';
import type { ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { Signer } from '@scrivener/signing';
import type { ServerKeyAlgorithm } from '@scrivener/tuf';
import type { Deps } from './app.ts';
import { createDelete } from './delete.ts';
import { createServerKeys } from './keys.ts';
import { createPublish } from './publish.ts';
import { createCurrentServerRole } from './renew.ts';
import { createRepositories } from './repositories.ts';
import { createWriter } from './writer.ts';

/** The adapters that this process was configured with, and what the use cases want to know. */
export interface Ports {
  readonly events: EventStore;
  readonly readModel: ReadModel;
  readonly signer: Signer;
  /** Of the keys that the signer makes for new roles. */
  readonly algorithm: ServerKeyAlgorithm;
  readonly logger: Logger;
  readonly now: () => Date;
  /** How long a request may wait for log, signer and projection, in milliseconds. */
  readonly timeoutMs: number;
}

type UseCases = Pick<
  Deps,
  'publish' | 'currentServerRole' | 'serverKey' | 'rotateKey' | 'deleteRepository'
>;

export function createUseCases(ports: Ports): UseCases {
  const { events, readModel, signer, algorithm, logger, now, timeoutMs } = ports;
  const repositories = createRepositories(events);
  const writer = createWriter(repositories, readModel, timeoutMs);
  const keys = createServerKeys(repositories, signer, writer, { algorithm, now });
  return {
    publish: createPublish(repositories, signer, writer, now),
    currentServerRole: createCurrentServerRole({
      repositories,
      readModel,
      signer,
      writer,
      logger,
      now,
    }),
    serverKey: (...question) => keys.current(...question),
    rotateKey: (...question) => keys.rotate(...question),
    deleteRepository: createDelete(writer, now),
  };
}
