import type { ReadModel } from '@scrivener/read-model';
import type { QueueSigner } from '@scrivener/signing/bullmq';
import { withDeadline } from './deadline.ts';

/** How long one look at a dependency may take, in milliseconds. */
const CHECK_LIMIT = 2_000;

/** What `health` of `Deps` asks: live, at every call, within two seconds each. */
export function createHealth(
  readModel: Pick<ReadModel, 'checkpoint'>,
  queue: Pick<QueueSigner, 'health'> | undefined,
): () => Promise<Readonly<Record<string, string>>> {
  return async () => {
    const [database, trust] = await Promise.all([databaseTrouble(readModel), trustTrouble(queue)]);
    return {
      ...(database !== undefined && { 'DB operational': database }),
      ...(trust !== undefined && { 'Trust operational': trust }),
    };
  };
}

async function databaseTrouble(
  readModel: Pick<ReadModel, 'checkpoint'>,
): Promise<string | undefined> {
  try {
    await withDeadline(CHECK_LIMIT, () => readModel.checkpoint());
    return undefined;
  } catch {
    return 'the database does not answer';
  }
}

async function trustTrouble(
  queue: Pick<QueueSigner, 'health'> | undefined,
): Promise<string | undefined> {
  if (queue === undefined) return undefined;
  const { queue: isThere, workers } = await queue.health();
  if (!isThere) return 'the queue does not answer';
  return workers > 0 ? undefined : 'no signer worker is connected to the queue';
}
