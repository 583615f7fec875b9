import type { ProjectionLag, ReadModel } from '@scrivener/read-model';
import {
  CHECK_FRESH,
  CHECK_LIMIT,
  createChecks,
  DRAINING,
  shareAnswers,
  type Check,
  type Troubles,
} from '@scrivener/runtime/monitoring';
import type { QueueSigner, WorkerState } from '@scrivener/signing/bullmq';
import type { RemoteSigner } from '@scrivener/signing/grpc';

/** How long an event may wait for its projection before that is a trouble, in milliseconds. */
const LONGEST_LAG = 30_000;

/** What `health` and `ready` of `Deps` ask: live, and within two seconds (WIRE §12). */
export interface Health {
  readonly health: () => Promise<Troubles>;
  readonly ready: () => Promise<Troubles>;
  /** From now on this process is not ready: it was asked to stop. */
  readonly drain: () => void;
}

export function createHealth(readModel: Pick<ReadModel, 'lag'>, trust?: Check): Health {
  // Two checks, one question to the database; it is given up before they are.
  const limitMs = CHECK_LIMIT - 250;
  const lag = shareAnswers(() => readModel.lag(), { limitMs, freshMs: CHECK_FRESH });
  const health = createChecks({
    'DB operational': () => lag().then(noTrouble, () => 'the database does not answer'),
    // What cannot be known is not reported: that the database is away says it all.
    'Projection operational': () => lag().then(lagTrouble, noTrouble),
    ...(trust !== undefined && { 'Trust operational': trust }),
  });
  let draining = false;
  return {
    health,
    ready: async () => (draining ? DRAINING : health()),
    drain: () => {
      draining = true;
    },
  };
}

const STATES: Readonly<Record<WorkerState, string | undefined>> = {
  answering: undefined,
  silent: 'no signer worker answers',
  keyless: 'signer workers do not reach their keys',
};

/** Whether somebody is there who signs: in the queue, and at its other end. */
export function queueCheck(queue: Pick<QueueSigner, 'health'>): Check {
  return async () => {
    const { queue: isThere, workers, state } = await queue.health();
    if (!isThere) return 'the queue does not answer';
    if (workers === 0) return 'no signer worker is connected to the queue';
    return STATES[state];
  };
}

/** Whether the Notary Signer says that it can make keys and sign. */
export function remoteCheck(remote: Pick<RemoteSigner, 'health'>): Check {
  return async () => {
    const { keyManagement, signer } = await remote.health();
    if (!keyManagement && !signer) return 'the signer is not serving';
    if (!keyManagement) return 'the signer makes no keys';
    return signer ? undefined : 'the signer does not sign';
  };
}

function noTrouble(): undefined {
  return undefined;
}

function lagTrouble({ position, checkpoint, behindMs }: ProjectionLag): string | undefined {
  if (behindMs <= LONGEST_LAG) return undefined;
  const seconds = Math.round(behindMs / 1000);
  return `the projection is ${position - checkpoint} events and ${seconds} seconds behind the log`;
}
