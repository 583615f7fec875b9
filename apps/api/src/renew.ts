import { renewRoles } from '@scrivener/events';
import type { PublishedFile, ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { Signer } from '@scrivener/signing';
import { isExpired, planRenewal, type Gun, type ServerRole } from '@scrivener/tuf';
import type { Repositories } from './repositories.ts';
import { madeBy, signServerFiles } from './sign.ts';
import type { Writer } from './writer.ts';

interface Dependencies {
  readonly repositories: Repositories;
  readonly readModel: Pick<ReadModel, 'current'>;
  readonly signer: Pick<Signer, 'sign'>;
  readonly writer: Writer;
  readonly logger: Logger;
  readonly now: () => Date;
}

/**
 * Reads the current timestamp or snapshot and signs their next version first where one of them has
 * expired (WIRE §8.4), once for all who ask at that moment. Where that is impossible the last good
 * file is served: the client then sees that it has expired, which is the truth.
 */
export function createCurrentServerRole(
  dependencies: Dependencies,
): (gun: Gun, role: ServerRole) => Promise<PublishedFile | undefined> {
  const { readModel, logger, now } = dependencies;
  const underWay = new Map<Gun, Promise<void>>();

  const renewOnce = (gun: Gun) => {
    const running = underWay.get(gun);
    if (running !== undefined) return running;
    const renewal = renew(dependencies, gun)
      .catch((error: unknown) => logger.error({ err: error, gun }, 'expired metadata not renewed'))
      .finally(() => underWay.delete(gun));
    underWay.set(gun, renewal);
    return renewal;
  };

  return async (gun, role) => {
    const [timestamp, snapshot] = await Promise.all([
      readModel.current(gun, 'timestamp'),
      readModel.current(gun, 'snapshot'),
    ]);
    const at = now();
    if (hasExpired('timestamp', timestamp, at) || hasExpired('snapshot', snapshot, at)) {
      await renewOnce(gun);
      return readModel.current(gun, role);
    }
    return role === 'timestamp' ? timestamp : snapshot;
  };
}

function hasExpired(role: ServerRole, file: PublishedFile | undefined, at: Date): boolean {
  return file !== undefined && isExpired({ role, ...file }, at);
}

async function renew({ repositories, signer, writer, now }: Dependencies, gun: Gun): Promise<void> {
  await writer.write(gun, async (repository) => {
    const at = now();
    const current = await repositories.metafiles(repository, ['root', 'snapshot', 'timestamp']);
    const root = current.get('root');
    const serverKeys = new Set(repository.keys.keys());
    const request = planRenewal({ gun, current, serverKeys, now: at });
    // Somebody else was faster, or a client holds the key.
    if (root === undefined || request === undefined) return undefined;
    const metafiles = madeBy(gun, 'server', await signServerFiles(signer, request, root));
    return {
      event: renewRoles(repository, { metafiles, at: at.toISOString(), cause: {} }),
      metafiles,
    };
  });
}
