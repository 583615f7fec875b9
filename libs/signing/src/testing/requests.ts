import { randomUUID } from 'node:crypto';
import { keyId, parseGun, type Gun, type KeyId, type SigningRequest } from '@scrivener/tuf';
import type { Signer } from '../signer.ts';

/** The name of a repository that no other test knows. */
export function freshGun(): Gun {
  const gun = parseGun(`test.example/${randomUUID()}`);
  if (gun === undefined) throw new Error('not a GUN');
  return gun;
}

export interface RepositoryKeys {
  readonly gun: Gun;
  readonly snapshot: KeyId;
  readonly timestamp: KeyId;
}

/** Lets the signer make the two keys of a new repository. */
export async function createKeys(
  signer: Pick<Signer, 'createKey'>,
  algorithm: 'ed25519' | 'ecdsa' = 'ed25519',
): Promise<RepositoryKeys> {
  const gun = freshGun();
  const make = async (role: 'snapshot' | 'timestamp') =>
    keyId(await signer.createKey({ gun, role, algorithm }));
  return { gun, snapshot: await make('snapshot'), timestamp: await make('timestamp') };
}

/** A publish of that version: snapshot and timestamp to be signed. */
export function publishRequest(keys: RepositoryKeys, version = 1n): SigningRequest {
  const expires = '2036-01-02T03:04:05.678Z';
  const digest = (bytes: number) => Buffer.alloc(bytes, Number(version % 256n)).toString('base64');
  const file = `{"hashes":{"sha256":"${digest(32)}","sha512":"${digest(64)}"},"length":700}`;
  return {
    gun: keys.gun,
    snapshot: {
      version,
      signed: `{"_type":"Snapshot","expires":"${expires}","meta":{"root":${file},"targets":${file}},"version":${version}}`,
      keyids: [keys.snapshot],
    },
    timestamp: { version, expires, keyids: [keys.timestamp] },
  };
}
