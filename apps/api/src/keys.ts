import { recordKey, type Cause } from '@scrivener/events';
import type { Signer } from '@scrivener/signing';
import {
  keyId,
  serverKeyOf,
  type Gun,
  type PublicKey,
  type ServerKeyAlgorithm,
  type ServerRole,
} from '@scrivener/tuf';
import type { Repositories } from './repositories.ts';
import type { Writer } from './writer.ts';

/** Which key the server signs a role with (WIRE §4). */
export interface ServerKeys {
  /** The key in the current root whose private half we hold; else a new one, as for `rotate`. */
  current(gun: Gun, role: ServerRole, cause: Cause): Promise<PublicKey>;
  /** A key that has not signed yet. Takes effect with the root that lists it. */
  rotate(gun: Gun, role: ServerRole, cause: Cause): Promise<PublicKey>;
}

export function createServerKeys(
  repositories: Repositories,
  signer: Pick<Signer, 'createKey'>,
  writer: Writer,
  { algorithm, now }: { algorithm: ServerKeyAlgorithm; now: () => Date },
): ServerKeys {
  const rotate: ServerKeys['rotate'] = async (gun, role, cause) => {
    const key = await signer.createKey({ gun, role, algorithm });
    // Only a key that the log knows may sign later, so it is recorded before anybody hears of it.
    // Keys are read from the log alone, so nobody has to wait for the read model.
    await writer.record(gun, (repository) => {
      const event = recordKey(repository, {
        role,
        keyid: keyId(key),
        key,
        at: now().toISOString(),
        cause,
      });
      return event && { event };
    });
    return key;
  };

  return {
    async current(gun, role, cause) {
      const repository = await repositories.load(gun);
      const root = (await repositories.metafiles(repository, ['root'])).get('root');
      const held = root && serverKeyOf(root, role, new Set(repository.keys.keys()));
      return held ?? rotate(gun, role, cause);
    },
    rotate,
  };
}
