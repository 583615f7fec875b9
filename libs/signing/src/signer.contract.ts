import {
  keyId,
  snapshotPayload,
  timestampPayload,
  verifySignature,
  type PublicKey,
  type ServerRole,
  type ServerSignatures,
  type Signature,
  type SigningRequest,
} from '@scrivener/tuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Signer } from './signer.ts';
import { createKeys, freshGun, publishRequest, type RepositoryKeys } from './testing/requests.ts';

const stranger = keyId({ keytype: 'ed25519', public: 'AAAA' });

/**
 * The tests that every `Signer` passes. `knowsRepositories` is false where the way to the keys does
 * not tell for which repository they are asked; whoever asks has to know it then.
 */
export function signerContract(
  open: () => Promise<Signer>,
  { knowsRepositories = true }: { readonly knowsRepositories?: boolean } = {},
): void {
  let signer: Signer;
  beforeAll(async () => {
    signer = await open();
  });
  afterAll(() => signer.close());

  describe('createKey', () => {
    test.each([
      ['ed25519', 32],
      ['ecdsa', 91],
    ] as const)('makes a key of %s', async (algorithm, bytes) => {
      const key = await signer.createKey({ gun: freshGun(), role: 'timestamp', algorithm });

      expect(key.keytype).toBe(algorithm);
      expect(Buffer.from(key.public, 'base64')).toHaveLength(bytes);
    });

    test('gives the same key until it has signed, and then another', async () => {
      const keys = await createKeys(signer);
      const timestampKey = async () =>
        keyId(await signer.createKey({ gun: keys.gun, role: 'timestamp', algorithm: 'ed25519' }));

      expect(await timestampKey()).toBe(keys.timestamp);
      await signer.sign(publishRequest(keys));
      const next = await timestampKey();

      expect(next).not.toBe(keys.timestamp);
      expect(await timestampKey()).toBe(next);
    });

    test('gives one key to all who ask at once', async () => {
      const request = { gun: freshGun(), role: 'snapshot', algorithm: 'ecdsa' } as const;

      const keys = await Promise.all(Array.from({ length: 20 }, () => signer.createKey(request)));

      expect(new Set(keys.map(keyId)).size).toBe(1);
    });

    test('keeps repositories, roles and algorithms apart', async () => {
      const gun = freshGun();

      const keys = await Promise.all([
        signer.createKey({ gun, role: 'timestamp', algorithm: 'ed25519' }),
        signer.createKey({ gun, role: 'timestamp', algorithm: 'ecdsa' }),
        signer.createKey({ gun, role: 'snapshot', algorithm: 'ed25519' }),
        signer.createKey({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' }),
      ]);

      expect(new Set(keys.map(keyId)).size).toBe(4);
    });
  });

  describe('sign', () => {
    test.each([
      ['ed25519', 'eddsa'],
      ['ecdsa', 'ecdsa'],
    ] as const)('signs snapshot and timestamp with %s', async (algorithm, method) => {
      const keys = await createKeys(signer, algorithm);

      expect(await signer.sign(publishRequest(keys))).toEqual({
        snapshot: [{ keyid: keys.snapshot, method, sig: expect.stringMatching(/^.{86}==$/) }],
        timestamp: [{ keyid: keys.timestamp, method, sig: expect.stringMatching(/^.{86}==$/) }],
      });
    });

    test('gives good signatures each time it is asked the same', async () => {
      const gun = freshGun();
      const make = (role: 'snapshot' | 'timestamp') =>
        signer.createKey({ gun, role, algorithm: 'ecdsa' });
      const [snapshot, timestamp] = [await make('snapshot'), await make('timestamp')];
      const request = publishRequest({
        gun,
        snapshot: keyId(snapshot),
        timestamp: keyId(timestamp),
      });

      const answers = await Promise.all(Array.from({ length: 4 }, () => signer.sign(request)));

      for (const answer of [...answers, await signer.sign(request)]) {
        expect(areGood(request, answer, { snapshot, timestamp })).toBe(true);
      }
    });

    test('goes on signing with a key that has been rotated away', async () => {
      const keys = await createKeys(signer);
      await signer.sign(publishRequest(keys, 1n));
      await signer.createKey({ gun: keys.gun, role: 'timestamp', algorithm: 'ed25519' });

      await expect(signer.sign(publishRequest(keys, 2n))).resolves.toBeDefined();
    });

    const others: readonly [string, (keys: RepositoryKeys) => RepositoryKeys][] = [
      ['was made for another repository', (keys) => ({ ...keys, gun: freshGun() })],
    ];
    test.each<[string, (keys: RepositoryKeys) => RepositoryKeys]>([
      ['nobody made', (keys) => ({ ...keys, timestamp: stranger })],
      ...(knowsRepositories ? others : []),
      ['was made for the snapshot', (keys) => ({ ...keys, timestamp: keys.snapshot })],
      ['was made for the timestamp', (keys) => ({ ...keys, snapshot: keys.timestamp })],
    ])('does not know a key that %s', async (_, change) => {
      const request = publishRequest(change(await createKeys(signer)));

      await expect(signer.sign(request)).rejects.toMatchObject({
        name: 'SigningError',
        code: 'UNKNOWN_KEY',
      });
    });

    const root = '{"_type":"Root","expires":"2036-01-02T03:04:05Z","version":1}';
    test.each<[string, (request: SigningRequest) => SigningRequest]>([
      ['a root as snapshot', (request) => withSnapshot(request, { signed: root })],
      ['text that is no JSON', (request) => withSnapshot(request, { signed: 'attack at dawn' })],
      ['another version than it says', (request) => withSnapshot(request, { version: 7n })],
      ['a timestamp that never was', (request) => withTimestamp(request, { expires: 'never' })],
      ['a version of 0', (request) => withTimestamp(request, { version: 0n })],
    ])('refuses %s', async (_, change) => {
      const keys = await createKeys(signer);

      await expect(signer.sign(change(publishRequest(keys)))).rejects.toMatchObject({
        name: 'SigningError',
        code: 'REFUSED',
      });
    });

    test('leaves a key pending that it refused to sign with', async () => {
      const keys = await createKeys(signer);
      const refused = signer.sign(withSnapshot(publishRequest(keys), { signed: root }));
      await expect(refused).rejects.toMatchObject({ code: 'REFUSED' });

      const asked = { gun: keys.gun, role: 'timestamp', algorithm: 'ed25519' } as const;
      expect(keyId(await signer.createKey(asked))).toBe(keys.timestamp);
    });
  });
}

/** Whether that answer is by these keys, over what was asked for. */
function areGood(
  request: SigningRequest,
  answer: ServerSignatures,
  keys: Readonly<Record<ServerRole, PublicKey>>,
): boolean {
  const { snapshot, timestamp } = request;
  if (snapshot === undefined || answer.snapshot === undefined) return false;
  const isGood = (role: ServerRole, payload: Uint8Array, signatures: readonly Signature[]) =>
    signatures.length === 1 &&
    signatures.every(
      ({ keyid, method, sig }) =>
        keyid === keyId(keys[role]) &&
        verifySignature(keys[role], method, payload, Buffer.from(sig, 'base64')),
    );
  return (
    isGood('snapshot', snapshotPayload(snapshot), answer.snapshot) &&
    isGood('timestamp', timestampPayload(request, answer.snapshot), answer.timestamp) &&
    timestamp.keyids.length === 1
  );
}

function withSnapshot(
  request: SigningRequest,
  changes: Partial<NonNullable<SigningRequest['snapshot']>>,
): SigningRequest {
  if (request.snapshot === undefined) throw new Error('a request without a snapshot');
  return { ...request, snapshot: { ...request.snapshot, ...changes } };
}

function withTimestamp(
  request: SigningRequest,
  changes: Partial<SigningRequest['timestamp']>,
): SigningRequest {
  return { ...request, timestamp: { ...request.timestamp, ...changes } };
}
