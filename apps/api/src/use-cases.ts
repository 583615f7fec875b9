import type { EventStore } from '@scrivener/events';
import type { Memory, Reader, ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import { beginSpan } from '@scrivener/runtime/tracing';
import type { Signer } from '@scrivener/signing';
import type { Guard, ServerKeyAlgorithm } from '@scrivener/tuf';
import type { Deps } from './app.ts';
import { createCurrentServerRole } from './renewal/current-server-role.ts';
import { createDelete } from './delete.ts';
import type { CountRenewal } from './renewal/expiry-metrics.ts';
import { createServerKeys } from './keys.ts';
import { createPace, type Pace } from './pacing.ts';
import { createPublish } from './publish.ts';
import { createRenew, type Renew } from './renewal/renew.ts';
import { createRepositories } from './repositories.ts';
import { createVerification } from './verification/verification.ts';
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
  /** What is refused beyond Notary's own rules; nothing where it is absent. */
  readonly guard?: Guard | undefined;
  /** See `Readers`. Where it is absent, each change reads the log before it is decided. */
  readonly join?: ((memory: Memory) => Reader) | undefined;
  /** Told of each renewal because of a read. */
  readonly countRenewal?: CountRenewal;
}

interface UseCases extends Pick<
  Deps,
  'readFile' | 'publish' | 'currentServerRole' | 'serverKey' | 'rotateKey' | 'deleteRepository'
> {
  /** Signs the next versions of what the server signs, where they are due. */
  readonly renew: Renew;
  /** Of publishes, whose losers are told by it. */
  readonly pace: Pace;
}

export function createUseCases(ports: Ports): UseCases {
  const { events, readModel, signer, algorithm, logger, now, timeoutMs } = ports;
  const { guard, countRenewal = () => {} } = ports;
  const repositories = createRepositories(events, ports.join);
  const verification = createVerification();
  const pace = createPace();
  const writer = createWriter(repositories, readModel, timeoutMs);
  const keys = createServerKeys(repositories, signer, writer, { algorithm, now });
  const renewNow = createRenew({ repositories, signer, writer, now });
  // Also those of the schedule, which nobody has asked for, are seen by traces.
  const renew: Renew = (gun, due) =>
    beginSpan('renew', { 'scrivener.gun': gun }, () => renewNow(gun, due));
  return {
    readFile: (...file) => verification.read(...file),
    publish: createPublish({ repositories, verification, signer, writer, pace, guard, now }),
    pace,
    renew,
    currentServerRole: createCurrentServerRole({
      renew,
      readModel,
      count: countRenewal,
      logger,
      now,
    }),
    serverKey: (...question) => keys.current(...question),
    rotateKey: (...question) => keys.rotate(...question),
    deleteRepository: createDelete(writer, now),
  };
}
