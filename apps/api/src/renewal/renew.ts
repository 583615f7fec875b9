import { renewRoles } from '@scrivener/events';
import { tracePoint } from '@scrivener/runtime/tracing';
import { SigningError, type Signer } from '@scrivener/signing';
import {
  isExpired,
  planRenewal,
  type Gun,
  type Metafile,
  type RoleName,
  type ServerRole,
} from '@scrivener/tuf';
import type { Repositories } from '../repositories.ts';
import { madeBy, signServerFiles } from '../sign.ts';
import type { Writer } from '../writer.ts';

interface Dependencies {
  readonly repositories: Repositories;
  readonly signer: Pick<Signer, 'sign'>;
  readonly writer: Writer;
  readonly now: () => Date;
}

/**
 * Signs the next versions of what the server signs: of what has expired, and of roles that are `due`
 * and still at the version that the caller saw. One event.
 *
 * - `renewed`: they are current, and every API can read them
 * - `unneeded`: nothing is due, or has expired where no role was named; somebody else was faster
 * - `impossible`: the server does not hold the keys
 *
 * Throws `SigningError` and `Unavailable`; then nothing has happened, or it will be seen.
 */
export type Renew = (
  gun: Gun,
  due?: ReadonlyMap<ServerRole, bigint>,
) => Promise<'renewed' | 'unneeded' | 'impossible'>;

export function createRenew({ repositories, signer, writer, now }: Dependencies): Renew {
  return async (gun, seen = new Map()) => {
    let isNeeded = false;
    const recorded = await writer.write(gun, async (repository) => {
      const at = now();
      const due = [...seen].filter(
        ([role, version]) => repository.current.get(role)?.version === version,
      );
      const current = await repositories.metafiles(repository, ['root', 'snapshot', 'timestamp']);
      const root = current.get('root');
      const request = planRenewal({
        gun,
        current,
        serverKeys: new Set(repository.keys.keys()),
        now: at,
        due: new Set(due.map(([role]) => role)),
      });
      isNeeded = seen.size > 0 ? due.length > 0 : hasExpired(current, at);
      if (root === undefined || request === undefined) return undefined;
      const metafiles = madeBy(gun, 'server', await signServerFiles(signer, request, root));
      return {
        event: renewRoles(repository, { metafiles, at: at.toISOString(), cause: tracePoint() }),
        metafiles,
      };
    });
    if (recorded !== undefined) return 'renewed';
    return isNeeded ? 'impossible' : 'unneeded';
  };
}

function hasExpired(current: ReadonlyMap<RoleName, Metafile>, at: Date): boolean {
  return (['snapshot', 'timestamp'] as const).some((role) => {
    const file = current.get(role);
    return file !== undefined && isExpired(file, at);
  });
}

/** Whether the signer is away, so that it would answer to no other repository either. */
export function isSignerAway(error: unknown): boolean {
  return error instanceof SigningError && error.code === 'UNAVAILABLE';
}
