import {
  checkSigningRequest,
  generateServerKey,
  signServerRoles,
  TufError,
  type Gun,
  type KeyId,
  type PublicKey,
  type ServerPrivateKey,
  type ServerRole,
  type ServerSignatures,
  type SigningRequest,
} from '@scrivener/tuf';
import type { KeyStore } from './key-store.ts';
import { SigningError, type CreateKeyRequest, type Signer } from './signer.ts';

/** Each round is lost only where somebody else's key became pending and signed meanwhile. */
const ROUNDS = 5;

/** A `Signer` that holds its keys itself. Closing it closes the store. */
export function createKeySigner(keys: KeyStore): Signer {
  return {
    createKey: (request) => createKey(keys, request),
    sign: (request) => sign(keys, request),
    close: () => keys.close(),
  };
}

/**
 * Gives the pending key, or makes it (SIGNER §2.5). Of many who ask at once one stores its key and
 * the others throw theirs away, so that all are told the same.
 */
async function createKey(keys: KeyStore, request: CreateKeyRequest): Promise<PublicKey> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const pending = await keys.findPending(request);
    if (pending !== undefined) return pending;

    const key = generateServerKey(request.algorithm);
    if (await keys.addPending(request, key)) return key.publicKey;
  }
  throw new SigningError('UNAVAILABLE', 'pending keys are used up faster than they can be made');
}

/**
 * Signs what is well-formed, with keys of that repository and role, and nothing else. The keys stop
 * being pending before a signature leaves: after a crash in between a key that never signed counts
 * as used, which costs one key; the other order would hand out a used key as new (fault 7 of
 * SIGNER §1.3).
 */
async function sign(keys: KeyStore, request: SigningRequest): Promise<ServerSignatures> {
  refuseMalformed(request);
  const { gun, snapshot, timestamp } = request;
  const held = new Map<KeyId, ServerPrivateKey>([
    ...(await load(keys, gun, 'snapshot', snapshot?.keyids ?? [])),
    ...(await load(keys, gun, 'timestamp', timestamp.keyids)),
  ]);
  await keys.markUsed([...held.keys()]);
  return signServerRoles(request, (keyid, payload) => {
    const key = held.get(keyid);
    if (key === undefined) throw unknownKey(keyid);
    return key.sign(payload);
  });
}

/** Throws `SigningError` `REFUSED` where a request can come to nothing that may be signed. */
export function refuseMalformed(request: SigningRequest): void {
  try {
    checkSigningRequest(request);
  } catch (error) {
    if (!(error instanceof TufError)) throw error;
    throw new SigningError('REFUSED', error.message, { cause: error });
  }
}

async function load(
  keys: KeyStore,
  gun: Gun,
  role: ServerRole,
  keyids: readonly KeyId[],
): Promise<[KeyId, ServerPrivateKey][]> {
  return Promise.all(
    keyids.map(async (keyid) => {
      const key = await keys.find(gun, role, keyid);
      if (key === undefined) throw unknownKey(keyid);
      return [keyid, key];
    }),
  );
}

function unknownKey(keyid: KeyId): SigningError {
  return new SigningError('UNKNOWN_KEY', `no key ${keyid} for that repository and role`);
}
