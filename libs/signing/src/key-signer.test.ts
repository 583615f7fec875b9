import { describe, expect, test } from 'vitest';
import { createKeySigner } from './key-signer.ts';
import type { KeyStore } from './key-store.ts';
import { MemoryKeyStore } from './memory/index.ts';
import { createKeys, freshGun, publishRequest } from './testing/requests.ts';

/** A store that is down for one of its methods. */
function failing(keys: KeyStore, method: keyof KeyStore): KeyStore {
  return new Proxy(keys, {
    get: (target, name: keyof KeyStore) =>
      name === method
        ? async () => {
            throw new Error(`${method} is down`);
          }
        : target[name].bind(target),
  });
}

describe('a key signer', () => {
  test('gives no signature when the key may still count as pending', async () => {
    const store = new MemoryKeyStore();
    const keys = await createKeys(createKeySigner(store));

    await expect(
      createKeySigner(failing(store, 'markUsed')).sign(publishRequest(keys)),
    ).rejects.toThrow('markUsed is down');
  });

  test.each(['find', 'markUsed'] as const)(
    'does not call a key unknown when %s fails',
    async (method) => {
      const store = new MemoryKeyStore();
      const keys = await createKeys(createKeySigner(store));

      await expect(
        createKeySigner(failing(store, method)).sign(publishRequest(keys)),
      ).rejects.not.toMatchObject({ name: 'SigningError' });
    },
  );

  test.each(['findPending', 'addPending'] as const)(
    'makes no key up when %s fails',
    async (method) => {
      const signer = createKeySigner(failing(new MemoryKeyStore(), method));

      await expect(
        signer.createKey({ gun: freshGun(), role: 'snapshot', algorithm: 'ecdsa' }),
      ).rejects.toThrow(`${method} is down`);
    },
  );

  test('uses up no key for a request that names an unknown one, too', async () => {
    const store = new MemoryKeyStore();
    const signer = createKeySigner(store);
    const keys = await createKeys(signer);
    const other = await createKeys(signer);

    await expect(
      signer.sign(publishRequest({ ...keys, timestamp: other.timestamp })),
    ).rejects.toMatchObject({ code: 'UNKNOWN_KEY' });

    const asked = { gun: keys.gun, role: 'snapshot', algorithm: 'ed25519' } as const;
    expect(await store.findPending(asked)).toBeDefined();
  });
});
