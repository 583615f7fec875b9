import { setTimeout as delay } from 'node:timers/promises';
import { createKeySigner, type KeyStore } from '@scrivener/signing';
import { startTcpProxy } from '@scrivener/signing/bullmq/testing';
import {
  createKeys,
  freshGun,
  keyStoreContract,
  publishRequest,
  signerContract,
} from '@scrivener/signing/testing';
import { generateServerKey, keyId } from '@scrivener/tuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSealer } from '../seal.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { PostgresKeyStore } from './key-store.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const open = (passphrase = 'swordfish', cachedKeys = 100, believedFor?: number) =>
  new PostgresKeyStore({
    ...(believedFor === undefined ? {} : { believedFor }),
    databaseUrl: database.url,
    sealer: createSealer({ NOTARY_SIGNER_TS: passphrase }, 'ts'),
    cachedKeys,
  });

/** Runs `work` with stores of several processes, as far as the database can tell. */
async function withStores<Value>(
  count: number,
  work: (stores: readonly [PostgresKeyStore, ...PostgresKeyStore[]]) => Promise<Value>,
): Promise<Value> {
  const [first, ...others] = [open(), ...Array.from({ length: count - 1 }, () => open())] as const;
  try {
    return await work([first, ...others]);
  } finally {
    await Promise.all([first, ...others].map((store) => store.close()));
  }
}

const asked = () => ({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' }) as const;

describe('PostgresKeyStore', () => {
  keyStoreContract(async () => open());
});

describe('PostgresKeyStore with room for one unsealed key', () => {
  keyStoreContract(async () => open('swordfish', 1));
});

describe('a signer over PostgresKeyStore', () => {
  signerContract(async () => createKeySigner(open()));
});

describe('several processes on one database', () => {
  test('agree on one key, of twenty that are asked for at once', async () => {
    const request = asked();

    const keys = await withStores(4, async (stores) =>
      Promise.all(
        Array.from({ length: 20 }, async (_, index) =>
          createKeySigner(stores[index % 4] ?? stores[0]).createKey(request),
        ),
      ),
    );

    expect(new Set(keys.map(keyId)).size).toBe(1);
    const rows = await database.query(
      `select key_id from private_keys where gun = '${request.gun}'`,
    );
    expect(rows).toEqual(keys.slice(0, 1).map((key) => ({ key_id: keyId(key) })));
  });

  test('all see that a key was used by one', async () => {
    await withStores(2, async ([one, other = one]) => {
      const keys = await createKeys(createKeySigner(one));
      await createKeySigner(one).sign(publishRequest(keys));

      const request = { gun: keys.gun, role: 'timestamp', algorithm: 'ed25519' } as const;
      expect(await other.findPending(request)).toBeUndefined();
    });
  });

  test('cease to know a key that one removed, when they look again', async () => {
    const [one, other] = [open(), open('swordfish', 100, 300)];
    const keys = await createKeys(createKeySigner(one));
    await createKeySigner(other).sign(publishRequest(keys));

    await one.remove(keys.timestamp);

    await expect
      .poll(() => other.find(keys.gun, 'timestamp', keys.timestamp), { timeout: 10_000 })
      .toBeUndefined();
    expect(await other.find(keys.gun, 'snapshot', keys.snapshot)).toBeDefined();
    expect(await one.find(keys.gun, 'timestamp', keys.timestamp)).toBeUndefined();
    await Promise.all([one.close(), other.close()]);
  });

  test('sign the same bytes, where the algorithm makes the same twice', async () => {
    const [first, second] = await withStores(2, async ([one, other = one]) => {
      const keys = await createKeys(createKeySigner(one), 'ed25519');
      const request = publishRequest(keys);
      return [await createKeySigner(one).sign(request), await createKeySigner(other).sign(request)];
    });

    expect(second).toEqual(first);
  });
});

describe('at rest', () => {
  test('a private key is a JWE and is nowhere in clear', async () => {
    const request = asked();
    const key = generateServerKey('ed25519');
    await withStores(1, ([store]) => store.addPending(request, key));

    const [row] = await database.query(
      `select algorithm, passphrase_alias, private, encode(public, 'base64') as public, t::text as everything
       from private_keys t where key_id = '${key.keyid}'`,
    );

    expect(row).toMatchObject({
      algorithm: 'ed25519',
      passphrase_alias: 'ts',
      private: expect.stringMatching(/^[\w-]+(\.[\w-]+){4}$/),
      public: key.publicKey.public,
    });
    const secret = Buffer.from(key.exportPrivate()).subarray(32, 64).toString('hex');
    expect(JSON.stringify(row)).not.toContain(secret);
  });
});

const trouble = async (work: (store: KeyStore) => Promise<unknown>, store: KeyStore) => {
  try {
    return await work(store).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
  } finally {
    await store.close();
  }
};

describe('trouble is never an unknown key', () => {
  test('a wrong passphrase throws', async () => {
    const request = asked();
    const key = generateServerKey('ed25519');
    await withStores(1, ([store]) => store.addPending(request, key));

    const outcome = await trouble(
      (store) => store.find(request.gun, 'timestamp', key.keyid),
      open('swordfsh'),
    );

    expect(outcome).toMatchObject({ error: { name: 'SealError', code: 'SEAL_BROKEN' } });
  });

  test('a row whose seal holds another key throws', async () => {
    const request = asked();
    const [key, other] = [generateServerKey('ed25519'), generateServerKey('ed25519')];
    await withStores(1, async ([store]) => {
      await store.addPending(request, key);
      await store.addPending(asked(), other);
    });
    await database.query(
      `update private_keys set private = (select private from private_keys where key_id = '${other.keyid}')
       where key_id = '${key.keyid}'`,
    );

    const outcome = await trouble(
      (store) => store.find(request.gun, 'timestamp', key.keyid),
      open(),
    );

    expect(outcome).toMatchObject({ error: { code: 'SEAL_BROKEN' } });
  });

  test('one broken row does not harm keys that are looked for at the same time', async () => {
    const keys = Array.from({ length: 12 }, () => generateServerKey('ecdsa'));
    await withStores(1, ([store]) =>
      Promise.all(keys.map((key) => store.addPending({ ...asked(), algorithm: 'ecdsa' }, key))),
    );
    await database.query(
      `update private_keys set private = 'x', algorithm = 'rsa' where key_id = '${keys[3]?.keyid}'`,
    );

    const found = await withStores(1, ([store]) =>
      Promise.allSettled(keys.map(({ keyid }) => store.findById(keyid))),
    );

    expect(found.map((each) => each.status === 'fulfilled' && each.value?.key.keyid)).toEqual(
      keys.map(({ keyid }, at) => at !== 3 && keyid),
    );
  });

  test('a database that is not there throws, and soon', async () => {
    const sealer = createSealer({ NOTARY_SIGNER_TS: 'x' }, 'ts');
    const nowhere = new PostgresKeyStore({
      databaseUrl: 'postgres://nobody@127.0.0.1:1/none',
      sealer,
    });

    const outcome = await trouble((store) => store.findPending(asked()), nowhere);

    expect(outcome).toHaveProperty('error');
  });

  test('a database that goes away throws, once a key in memory has to be looked for again', async () => {
    const url = new URL(database.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(proxy.port);
    const store = new PostgresKeyStore({
      databaseUrl: url.href,
      sealer: createSealer({ NOTARY_SIGNER_TS: 'swordfish' }, 'ts'),
      believedFor: 300,
    });
    const { gun, timestamp } = await createKeys(createKeySigner(store));

    proxy.cut();
    await delay(400);
    await expect(store.find(gun, 'timestamp', timestamp)).rejects.toThrow(
      'the key database failed',
    );
    await proxy.restore();

    expect(await store.find(gun, 'timestamp', timestamp)).toBeDefined();
    await store.close();
    await proxy.close();
  });

  test('a table that somebody has locked throws within 3 s, and works again afterwards', async () => {
    const request = asked();
    const store = open();
    const lock = database.query('begin; lock table pending_keys; select pg_sleep(3.5); commit');
    await delay(300);
    const start = performance.now();

    await expect(store.findPending(request)).rejects.toThrow(
      'the key database failed: canceling statement due to statement timeout',
    );
    expect(performance.now() - start).toBeLessThan(3_000);

    await lock;
    await expect(store.findPending(request)).resolves.toBeUndefined();
    await store.close();
  });
});

describe('a user with SELECT, INSERT and DELETE', () => {
  test('is all that the store needs', async () => {
    const url = new URL(database.url);
    const role = `worker_${url.pathname.slice(-12)}`;
    url.username = role;
    url.password = 'swordfish';
    await database.query(`create role ${role} login password 'swordfish'`);
    try {
      await database.query(`grant connect on database ${url.pathname.slice(1)} to ${role}`);
      await database.query(`grant select, insert, delete on private_keys, pending_keys to ${role}`);
      const store = new PostgresKeyStore({
        databaseUrl: url.href,
        sealer: createSealer({ NOTARY_SIGNER_TS: 'x' }, 'ts'),
      });
      const signer = createKeySigner(store);

      const keys = await createKeys(signer);
      await expect(signer.sign(publishRequest(keys))).resolves.toBeDefined();
      await store.remove(keys.snapshot);
      expect(await store.find(keys.gun, 'snapshot', keys.snapshot)).toBeUndefined();
      await signer.close();
    } finally {
      await database.query(`drop owned by ${role}; drop role ${role}`);
    }
  });
});
