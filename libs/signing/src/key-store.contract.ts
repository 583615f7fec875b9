import {
  generateServerKey,
  parseGun,
  verifySignature,
  type Gun,
  type ServerRole,
} from '@scrivener/tuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeyStore } from './key-store.ts';
import type { CreateKeyRequest } from './signer.ts';
import { freshGun } from './testing/requests.ts';

/** The tests that every `KeyStore` passes. */
export function keyStoreContract(open: () => Promise<KeyStore>): void {
  let keys: KeyStore;
  beforeAll(async () => {
    keys = await open();
  });
  afterAll(() => keys.close());

  test('a store that can be used says so', async () => {
    await expect(keys.check()).resolves.toBeUndefined();
  });

  describe('a pending key', () => {
    test('is found by its repository, role and algorithm', async () => {
      const request = asked();
      const key = generateServerKey('ed25519');

      expect(await keys.findPending(request)).toBeUndefined();
      expect(await keys.addPending(request, key)).toBe(true);
      expect(await keys.findPending(request)).toEqual(key.publicKey);
    });

    test('is found by a repository whose name is longer than an index entry', async () => {
      const request = { ...asked(), gun: parseGun(`${freshGun()}/${'a'.repeat(10_000)}`) as Gun };
      const key = generateServerKey('ed25519');
      await keys.addPending(request, key);

      expect(await keys.findPending(request)).toEqual(key.publicKey);
      expect(await keys.find(request.gun, request.role, key.keyid)).toBeDefined();
    });

    test.each<Partial<CreateKeyRequest>>([
      { role: 'snapshot' },
      { algorithm: 'ecdsa' },
      { gun: freshGun() },
    ])('is not found with another %o', async (other) => {
      const request = asked();
      await keys.addPending(request, generateServerKey('ed25519'));

      expect(await keys.findPending({ ...request, ...other })).toBeUndefined();
    });

    test('keeps others from becoming pending, and they are not kept', async () => {
      const request = asked();
      const [first, second] = [generateServerKey('ed25519'), generateServerKey('ed25519')];

      expect(await keys.addPending(request, first)).toBe(true);
      expect(await keys.addPending(request, second)).toBe(false);

      expect(await keys.findPending(request)).toEqual(first.publicKey);
      expect(await keys.find(request.gun, 'timestamp', second.keyid)).toBeUndefined();
    });

    test('is one, of many that are added at once', async () => {
      const request = asked();

      const added = await Promise.all(
        Array.from({ length: 20 }, () => keys.addPending(request, generateServerKey('ed25519'))),
      );

      expect(added.filter(Boolean)).toHaveLength(1);
    });

    test('ceases to be pending when it is used, and makes room for the next', async () => {
      const request = asked();
      const [first, second] = [generateServerKey('ed25519'), generateServerKey('ed25519')];
      await keys.addPending(request, first);

      await keys.markUsed([first.keyid]);
      await keys.markUsed([first.keyid]);

      expect(await keys.findPending(request)).toBeUndefined();
      expect(await keys.addPending(request, second)).toBe(true);
      expect(await keys.find(request.gun, 'timestamp', first.keyid)).toBeDefined();
    });
  });

  describe('a key', () => {
    test.each(['ed25519', 'ecdsa'] as const)(
      'of %s comes back as the same, before and after its use',
      async (algorithm) => {
        const request = asked({ algorithm });
        const key = generateServerKey(algorithm);
        const payload = Buffer.from('{}');
        await keys.addPending(request, key);

        const before = await keys.find(request.gun, 'timestamp', key.keyid);
        await keys.markUsed([key.keyid]);
        const after = await keys.find(request.gun, 'timestamp', key.keyid);

        for (const found of [before, after]) {
          expect(found?.publicKey).toEqual(key.publicKey);
          const { method = '', sig = '' } = found?.sign(payload) ?? {};
          const bytes = Buffer.from(sig, 'base64');
          expect(verifySignature(key.publicKey, method, payload, bytes)).toBe(true);
        }
      },
    );

    test.each<[string, (gun: Gun) => [Gun, ServerRole]]>([
      ['role', (gun) => [gun, 'snapshot']],
      ['repository', () => [freshGun(), 'timestamp']],
      ['letter case of the repository', (gun) => [gun.toUpperCase() as Gun, 'timestamp']],
    ])('is not found under another %s', async (_, other) => {
      const request = asked();
      const key = generateServerKey('ed25519');
      await keys.addPending(request, key);
      await keys.find(request.gun, 'timestamp', key.keyid); // now in whatever cache there is

      expect(await keys.find(...other(request.gun), key.keyid)).toBeUndefined();
    });

    test('is found by its id alone, with what it was made for', async () => {
      const request = asked({ role: 'snapshot' });
      const key = generateServerKey('ecdsa');
      await keys.addPending(request, key);

      const held = await keys.findById(key.keyid);

      expect(held).toMatchObject({ gun: request.gun, role: 'snapshot' });
      expect(held?.key.publicKey).toEqual(key.publicKey);
    });

    test.each(['pending', 'used'])('that was removed while %s is gone', async (state) => {
      const request = asked();
      const [key, next] = [generateServerKey('ed25519'), generateServerKey('ed25519')];
      await keys.addPending(request, key);
      await keys.find(request.gun, 'timestamp', key.keyid); // now in whatever cache there is
      if (state === 'used') await keys.markUsed([key.keyid]);

      await keys.remove(key.keyid);
      await keys.remove(key.keyid);

      expect(await keys.find(request.gun, 'timestamp', key.keyid)).toBeUndefined();
      expect(await keys.findById(key.keyid)).toBeUndefined();
      expect(await keys.findPending(request)).toBeUndefined();
      expect(await keys.addPending(request, next)).toBe(true);
    });

    test('stays when another is removed', async () => {
      const request = asked();
      const key = generateServerKey('ed25519');
      await keys.addPending(request, key);

      await keys.remove(generateServerKey('ed25519').keyid);

      expect(await keys.findPending(request)).toEqual(key.publicKey);
      expect(await keys.findById(key.keyid)).toBeDefined();
    });

    test('that nobody added is not found', async () => {
      const stranger = generateServerKey('ed25519');

      expect(await keys.find(freshGun(), 'timestamp', stranger.keyid)).toBeUndefined();
      expect(await keys.findById(stranger.keyid)).toBeUndefined();
      await expect(keys.markUsed([stranger.keyid])).resolves.toBeUndefined();
    });
  });
}

function asked(changes: Partial<CreateKeyRequest> = {}): CreateKeyRequest {
  return { gun: freshGun(), role: 'timestamp', algorithm: 'ed25519', ...changes };
}
