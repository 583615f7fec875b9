import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type ConnectionOptions } from 'node:tls';
import { Client, credentials, status, type ClientReadableStream } from '@grpc/grpc-js';
import {
  generateServerKey,
  keyId,
  snapshotPayload,
  timestampPayload,
  verifySignature,
  type KeyId,
} from '@scrivener/tuf';
import { assert, asyncProperty, constantFrom, uint8Array } from 'fast-check';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { UnreadableKey, type KeyStore } from '../key-store.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import { freshGun, publishRequest } from '../testing/requests.ts';
import { serveGrpcSigner, type GrpcServeOptions } from './index.ts';
import {
  checkHealth,
  createKey,
  deleteKey,
  getKeyInfo,
  sign,
  watchHealth,
  type Method,
} from './protocol.ts';
import { SignerChannel } from './signer-channel.ts';
import { makeCertificates, makeChain, type TestCertificates } from './testing/certificates.ts';
import { clientContext, type ClientTls } from './tls.ts';

let certificates: TestCertificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Served {
  readonly port: number;
  readonly keys: KeyStore;
  /** What the log was told. */
  readonly told: unknown[];
}

const serve = async (changes: Partial<GrpcServeOptions> = {}): Promise<Served> => {
  const { ca, server } = certificates;
  const told: unknown[] = [];
  const options: GrpcServeOptions = {
    keys: new MemoryKeyStore(),
    address: { host: 'localhost', port: 0 },
    tls: { ...server, clientCa: ca },
    onError: (error, call) => told.push([call, error]),
    ...changes,
  };
  const served = await serveGrpcSigner(options);
  closers.push(() => served.close());
  return { port: served.port, keys: options.keys, told };
};

const clientTls = (): ClientTls => ({ ca: certificates.ca, ...certificates.client });

const channelTo = (port: number, tls = clientTls()) => {
  const channel = new SignerChannel({ hostname: 'localhost', port, tls });
  closers.push(async () => channel.close());
  return channel;
};

const refusal = z.object({ code: z.enum(status), details: z.string() });

/** Asks once, as an old Server does, and gives the answer or the error. */
const ask = async <Request extends object, Response>(
  port: number,
  method: Method<Request, Response>,
  message: Request,
  tls = clientTls(),
): Promise<Response | z.output<typeof refusal>> => {
  const channel = channelTo(port, tls);
  try {
    return await channel.call(method, message, { until: Date.now() + 5_000, retry: false });
  } catch (error) {
    return refusal.parse(error);
  }
};

/** A key in that store, and what it may sign. */
const aKey = async (keys: KeyStore, role: 'snapshot' | 'timestamp' = 'timestamp') => {
  const gun = freshGun();
  const algorithm = 'ecdsa';
  const key = generateServerKey(algorithm);
  await keys.addPending({ gun, role, algorithm }, key);
  const { keyid } = key;
  const request = publishRequest({ gun, snapshot: keyid, timestamp: keyid });
  if (request.snapshot === undefined) throw new Error('no snapshot');
  return {
    key,
    keyid,
    pending: { gun, role, algorithm } as const,
    snapshot: snapshotPayload(request.snapshot),
    timestamp: timestampPayload(request, []),
  };
};

const unknown = generateServerKey('ed25519').keyid;

/** A store of which some methods fail, or never answer. */
const broken = (error: Error | 'hangs', ...methods: (keyof KeyStore)[]): KeyStore =>
  new Proxy<KeyStore>(new MemoryKeyStore(), {
    get: (target, name: keyof KeyStore) => {
      if (!methods.includes(name)) return target[name].bind(target);
      return async () => {
        if (error === 'hangs') await new Promise(() => {});
        throw error;
      };
    },
  });

describe('CreateKey', () => {
  test.each([
    ['ecdsa', 91],
    ['ed25519', 32],
  ])('makes a key of %s, and gives it again until it has signed', async (algorithm, bytes) => {
    const { port } = await serve();
    const request = { algorithm, gun: freshGun(), role: 'timestamp' };

    const answer = await ask(port, createKey, request);

    if (!('publicKey' in answer)) throw new Error(JSON.stringify(answer));
    const key = { keytype: algorithm, public: Buffer.from(answer.publicKey).toString('base64') };
    expect(answer.publicKey).toHaveLength(bytes);
    expect(answer.keyInfo).toEqual({ keyID: { ID: keyId(key) }, algorithm: { algorithm } });
    expect(await ask(port, createKey, request)).toEqual(answer);
  });

  test.each(['rsa', 'ecdsa-x509', 'ECDSA', ''])('makes none of "%s"', async (algorithm) => {
    const { port } = await serve();

    expect(await ask(port, createKey, { algorithm, gun: 'a', role: 'timestamp' })).toEqual({
      code: status.UNKNOWN,
      details: `algorithm ${algorithm} not supported for create key`,
    });
  });

  test.each([
    ['the role root', { role: 'root', gun: 'a' }],
    ['a delegation', { role: 'targets/releases', gun: 'a' }],
    ['no role', { role: '', gun: 'a' }],
    ['no repository', { role: 'timestamp', gun: '' }],
    ['a repository that no database can name', { role: 'timestamp', gun: 'a\0b' }],
  ])('makes none for %s', async (_, request) => {
    const { port } = await serve();

    expect(await ask(port, createKey, { algorithm: 'ecdsa', ...request })).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });
});

describe('GetKeyInfo', () => {
  test('tells key, algorithm and role', async () => {
    const { port, keys } = await serve();
    const { key, keyid } = await aKey(keys, 'snapshot');

    expect(await ask(port, getKeyInfo, { ID: keyid })).toEqual({
      keyInfo: { keyID: { ID: keyid }, algorithm: { algorithm: 'ecdsa' } },
      publicKey: Buffer.from(key.publicKey.public, 'base64'),
      role: 'snapshot',
    });
  });

  test.each(['nonsense', unknown])('does not find %s', async (ID) => {
    const { port } = await serve();

    expect(await ask(port, getKeyInfo, { ID })).toEqual({
      code: status.NOT_FOUND,
      details: 'key ID not found',
    });
  });
});

describe('Sign', () => {
  test('signs the timestamp with its key, which then is no longer pending', async () => {
    const { port, keys } = await serve();
    const { key, keyid, timestamp, pending } = await aKey(keys);

    const answer = await ask(port, sign, { keyID: { ID: keyid }, content: timestamp });

    expect(answer).toEqual({
      keyInfo: { keyID: { ID: keyid }, algorithm: { algorithm: 'ecdsa' } },
      algorithm: { algorithm: 'ecdsa' },
      content: expect.any(Uint8Array),
    });
    const { content } = z.object({ content: z.instanceof(Uint8Array) }).parse(answer);
    expect(verifySignature(key.publicKey, 'ecdsa', timestamp, content)).toBe(true);
    expect(await keys.findPending(pending)).toBeUndefined();
  });

  test('calls the method of ed25519 eddsa', async () => {
    const { port, keys } = await serve();
    const { timestamp } = await aKey(keys);
    const key = generateServerKey('ed25519');
    await keys.addPending({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' }, key);

    expect(await ask(port, sign, { keyID: { ID: key.keyid }, content: timestamp })).toMatchObject({
      algorithm: { algorithm: 'eddsa' },
    });
  });

  test.each(['nonsense', unknown])('does not find %s', async (ID) => {
    const { port } = await serve();

    expect(await ask(port, sign, { keyID: { ID }, content: Buffer.from('{}') })).toEqual({
      code: status.NOT_FOUND,
      details: `signing key not found: ${ID}`,
    });
  });

  type Content = (payloads: { snapshot: Uint8Array; timestamp: Uint8Array }) => Uint8Array;
  test.each<[string, 'snapshot' | 'timestamp', Content]>([
    ['nothing', 'timestamp', () => Buffer.of()],
    ['a snapshot', 'timestamp', ({ snapshot }) => snapshot],
    ['a timestamp', 'snapshot', ({ timestamp }) => timestamp],
    ['no metadata', 'timestamp', () => Buffer.from('attack at dawn')],
    [
      'a timestamp that is not canonical',
      'timestamp',
      ({ timestamp }) => Buffer.concat([timestamp, Buffer.from('\n')]),
    ],
  ])('does not sign %s with a key for the %s, and leaves it pending', async (_, role, content) => {
    const { port, keys, told } = await serve();
    const { keyid, pending, ...payloads } = await aKey(keys, role);

    expect(await ask(port, sign, { keyID: { ID: keyid }, content: content(payloads) })).toEqual({
      code: status.INVALID_ARGUMENT,
      details: `a ${role} key does not sign this`,
    });
    expect(await keys.findPending(pending)).toBeDefined();
    expect(told).toEqual([]);
  });
});

describe('DeleteKey', () => {
  test('removes that key and no other', async () => {
    const { port, keys } = await serve();
    const [one, other] = [await aKey(keys), await aKey(keys)];

    expect(await ask(port, deleteKey, { ID: one.keyid })).toEqual({});

    const signed = (key: { keyid: KeyId; timestamp: Uint8Array }) =>
      ask(port, sign, { keyID: { ID: key.keyid }, content: key.timestamp });
    expect(await signed(one)).toMatchObject({ code: status.NOT_FOUND });
    expect(await signed(other)).toHaveProperty('content');
  });

  test.each(['nonsense', unknown])('does not complain of %s', async (ID) => {
    const { port } = await serve();

    expect(await ask(port, deleteKey, { ID })).toEqual({});
  });
});

describe('a fault of the old Signer that this one does not have (SIGNER §1.3):', () => {
  test('1. a Sign without a key id ends the process', async () => {
    const { port, keys } = await serve();
    const { keyid, timestamp } = await aKey(keys);

    expect(await ask(port, sign, { keyID: null, content: timestamp })).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(await ask(port, getKeyInfo, { ID: keyid })).toHaveProperty('publicKey');
  });

  test('2. a DeleteKey without an id deletes all keys', async () => {
    const { port, keys } = await serve();
    const { keyid } = await aKey(keys);

    expect(await ask(port, deleteKey, { ID: '' })).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(await keys.findById(keyid)).toBeDefined();
  });

  test('3. an empty key id stands for the first key', async () => {
    const { port, keys } = await serve();
    const { timestamp: content } = await aKey(keys);
    const refused = { code: status.INVALID_ARGUMENT, details: 'a key ID is required' };

    expect(await ask(port, getKeyInfo, { ID: '' })).toEqual(refused);
    expect(await ask(port, sign, { keyID: { ID: '' }, content })).toEqual(refused);
  });

  test('4. many who ask at once for a key are told different ones', async () => {
    const { port } = await serve();
    const channel = channelTo(port);
    const request = { algorithm: 'ecdsa', gun: freshGun(), role: 'timestamp' };
    const patience = { until: Date.now() + 10_000, retry: false };

    const answers = await Promise.all(
      Array.from({ length: 20 }, () => channel.call(createKey, request, patience)),
    );

    expect(new Set(answers.map(({ keyInfo }) => keyInfo?.keyID?.ID)).size).toBe(1);
  });

  test('5. a key that was deleted through one server goes on signing through another', async () => {
    const keys = new MemoryKeyStore();
    const [one, other] = [await serve({ keys }), await serve({ keys })];
    const { keyid, timestamp } = await aKey(keys);
    const signing = { keyID: { ID: keyid }, content: timestamp };
    expect(await ask(other.port, sign, signing)).toHaveProperty('content');

    await ask(one.port, deleteKey, { ID: keyid });

    expect(await ask(other.port, sign, signing)).toMatchObject({ code: status.NOT_FOUND });
  });

  const down = new Error('the database is down');
  const unreadable = new UnreadableKey('another passphrase');
  const timestamp = timestampPayload(
    publishRequest({ gun: freshGun(), snapshot: unknown, timestamp: unknown }),
    [],
  );
  const CALLS: [string, (port: number) => Promise<unknown>, string][] = [
    [
      'KeyManagement/CreateKey',
      (port) => ask(port, createKey, { algorithm: 'ecdsa', gun: 'a', role: 'timestamp' }),
      'Key creation failed',
    ],
    [
      'KeyManagement/GetKeyInfo',
      (port) => ask(port, getKeyInfo, { ID: unknown }),
      'the keys cannot be read',
    ],
    [
      'Signer/Sign',
      (port) => ask(port, sign, { keyID: { ID: unknown }, content: timestamp }),
      'the keys cannot be read',
    ],
    [
      'KeyManagement/DeleteKey',
      (port) => ask(port, deleteKey, { ID: unknown }),
      `Key deletion for KeyID ${unknown} failed`,
    ],
  ];

  test.each(CALLS)(
    '6. a database that is down looks like a missing key: %s',
    async (name, call, details) => {
      const { port, told } = await serve({
        keys: broken(down, 'findPending', 'addPending', 'findById', 'remove'),
      });

      expect(await call(port)).toEqual({ code: status.UNAVAILABLE, details });
      expect(told).toEqual([[name, down]]);
    },
  );

  test.each(CALLS)(
    '6. a wrong passphrase looks like a missing key: %s',
    async (name, call, details) => {
      const { port, told } = await serve({
        keys: broken(unreadable, 'findPending', 'addPending', 'findById', 'remove'),
      });

      expect(await call(port)).toEqual({ code: status.INTERNAL, details });
      expect(told).toEqual([[name, unreadable]]);
    },
  );

  test.each(CALLS)('a database that hangs holds up %s for ever', async (_, call, details) => {
    const { port } = await serve({
      keys: broken('hangs', 'findPending', 'addPending', 'findById', 'remove'),
      callLimit: 200,
    });

    expect(await call(port)).toEqual({ code: status.UNAVAILABLE, details });
  });

  test('7. a key that signed may count as unused; 8. what was signed stands in the log', async () => {
    const keys = broken(down, 'markUsed');
    const { port, told } = await serve({ keys });
    const { keyid, timestamp: content } = await aKey(keys);

    expect(await ask(port, sign, { keyID: { ID: keyid }, content })).toEqual({
      code: status.UNAVAILABLE,
      details: 'the keys cannot be read',
    });
    expect(told).toEqual([['Signer/Sign', down]]);
  });
});

describe('bad requests', () => {
  test.each(['CreateKey', 'GetKeyInfo', 'DeleteKey', 'Sign', 'Check', 'Watch'])(
    'do not end the process: bytes that are no %s',
    async (name) => {
      const { port, keys } = await serve();
      const { keyid } = await aKey(keys);
      const method = [createKey, getKeyInfo, deleteKey, sign, checkHealth, watchHealth].find(
        ({ definition }) => definition.path.endsWith(`/${name}`),
      );
      const client = new Client(
        `localhost:${port}`,
        credentials.createFromSecureContext(clientContext(clientTls())),
      );

      const error = await new Promise((resolve) => {
        client.makeUnaryRequest(
          method?.definition.path ?? '',
          (bytes: Buffer) => bytes,
          (bytes) => bytes,
          Buffer.from('0affffffff', 'hex'),
          resolve,
        );
      });

      expect(error).toMatchObject({ code: status.INTERNAL });
      expect(await ask(port, getKeyInfo, { ID: keyid })).toHaveProperty('publicKey');
      client.close();
    },
  );

  test('get an answer whatever bytes they are', async () => {
    const { port } = await serve();
    const client = new Client(
      `localhost:${port}`,
      credentials.createFromSecureContext(clientContext(clientTls())),
    );
    closers.push(async () => client.close());
    const call = (path: string, bytes: Uint8Array) =>
      new Promise<status>((resolve) => {
        client.makeUnaryRequest(
          path,
          (message: Uint8Array) => Buffer.from(message),
          (answer) => answer,
          bytes,
          { deadline: Date.now() + 10_000 },
          (error) => resolve(error === null ? status.OK : error.code),
        );
      });
    const paths = [createKey, getKeyInfo, deleteKey, sign, checkHealth].map(
      ({ definition }) => definition.path,
    );

    await assert(
      asyncProperty(constantFrom(...paths), uint8Array({ maxLength: 40 }), async (path, bytes) => {
        const code = await call(path, bytes);

        expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).not.toContain(code);
      }),
      { numRuns: 300 },
    );
  });

  test('that are too long are RESOURCE_EXHAUSTED', async () => {
    const { port } = await serve({ maxMessageBytes: 1_000 });

    expect(
      await ask(port, sign, { keyID: { ID: unknown }, content: Buffer.alloc(1_001) }),
    ).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('larger than max'),
    });
  });

  test('get no more of themselves back than a header can hold', async () => {
    const { port } = await serve();
    const ID = 'x'.repeat(1_000_000);

    const answer = await ask(port, sign, { keyID: { ID }, content: Buffer.of() });

    expect(answer).toEqual({
      code: status.NOT_FOUND,
      details: `signing key not found: ${'x'.repeat(233)}`,
    });
  });
});

const watch = (port: number, service: string): ClientReadableStream<object> => {
  const client = new Client(
    `localhost:${port}`,
    credentials.createFromSecureContext(clientContext(clientTls())),
  );
  closers.push(async () => client.close());
  const { path, requestSerialize, responseDeserialize } = watchHealth.definition;
  return client.makeServerStreamRequest<object, object>(
    path,
    requestSerialize,
    responseDeserialize,
    { service },
  );
};

describe('health', () => {
  const NAMES = ['', 'grpc.health.v1.Health.KeyManagement', 'grpc.health.v1.Health.Signer'];

  test.each(NAMES)('of "%s" is that of the keys', async (service) => {
    const [well, ill, hanging] = [
      await serve(),
      await serve({ keys: broken(new Error('down'), 'check') }),
      await serve({ keys: broken('hangs', 'check') }),
    ];

    expect(await ask(well.port, checkHealth, { service })).toEqual({ status: 'SERVING' });
    expect(await ask(ill.port, checkHealth, { service })).toEqual({ status: 'NOT_SERVING' });
    expect(await ask(hanging.port, checkHealth, { service })).toEqual({ status: 'NOT_SERVING' });
  });

  test.each(['grpc.health.v1.Health.Overall', 'proto.Signer'])(
    'of %s is unknown',
    async (service) => {
      const { port } = await serve();

      expect(await ask(port, checkHealth, { service })).toEqual({
        code: status.NOT_FOUND,
        details: 'unknown service',
      });
    },
  );

  test('is told to a watcher whenever it changes, until the server stops', async () => {
    let isDown = false;
    const store = new MemoryKeyStore();
    store.check = async () => {
      if (isDown) throw new Error('down');
    };
    const served = await serveGrpcSigner({
      keys: store,
      address: { host: 'localhost', port: 0 },
      tls: { ...certificates.server, clientCa: certificates.ca },
      onError: () => {},
    });
    const seen: object[] = [];
    const stream = watch(served.port, '');
    stream.on('data', (message: object) => seen.push(message));

    await expect.poll(() => seen).toEqual([{ status: 'SERVING' }]);
    isDown = true;
    await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toEqual({ status: 'NOT_SERVING' });
    isDown = false;
    await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toEqual({ status: 'SERVING' });
    expect(seen).toHaveLength(3);

    const ended = once(stream, 'end');
    await served.close();
    await ended;
  });

  test('of an unknown service is told to a watcher as such', async () => {
    const { port } = await serve();
    const stream = watch(port, 'nonsense');
    stream.on('error', () => {});

    expect(await once(stream, 'data')).toEqual([{ status: 'SERVICE_UNKNOWN' }]);
    stream.cancel();
    await delay(50);
    expect(await ask(port, checkHealth, { service: '' })).toEqual({ status: 'SERVING' });
  });
});

const asked = (port: number, tls: ClientTls) => ask(port, checkHealth, { service: '' }, tls);

const handshake = async (port: number, options: ConnectionOptions) => {
  const socket = connect({
    port,
    host: 'localhost',
    ca: certificates.ca,
    ...certificates.client,
    ALPNProtocols: ['h2'],
    ...options,
  });
  try {
    await once(socket, 'secureConnect');
    return socket.getProtocol();
  } catch (error) {
    return error;
  } finally {
    socket.destroy();
  }
};

describe('TLS', () => {
  const closed = { code: status.UNAVAILABLE };

  test('lets a client in whose certificate the CA issued, and no other', async () => {
    const { port } = await serve();
    const stranger = await makeCertificates();

    expect(await asked(port, clientTls())).toEqual({ status: 'SERVING' });
    expect(await asked(port, { ca: certificates.ca })).toMatchObject(closed);
    expect(await asked(port, { ca: certificates.ca, ...stranger.client })).toMatchObject(closed);
  });

  test('lets clients in whose intermediate CA is in the file, without its root', async () => {
    const { intermediate, client } = await makeChain();
    const { port } = await serve({ tls: { ...certificates.server, clientCa: intermediate } });

    expect(await asked(port, { ca: certificates.ca, ...client })).toEqual({ status: 'SERVING' });
    expect(await asked(port, clientTls())).toMatchObject(closed);
  });

  test('asks no client for a certificate where there is no CA for them', async () => {
    const { port } = await serve({ tls: certificates.server });

    expect(await asked(port, { ca: certificates.ca })).toEqual({ status: 'SERVING' });
  });

  test.each(['TLSv1', 'TLSv1.1'] as const)('refuses %s', async (version) => {
    const { port } = await serve();
    const old = { minVersion: version, maxVersion: version, ciphers: 'ALL@SECLEVEL=0' } as const;

    expect(await handshake(port, old)).toMatchObject({ message: expect.stringContaining('alert') });
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('speaks %s', async (version) => {
    const { port } = await serve();

    expect(await handshake(port, { minVersion: version, maxVersion: version })).toBe(version);
  });

  test('is not optional', async () => {
    const { port } = await serve();
    const client = new Client(`localhost:${port}`, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = checkHealth.definition;

    const error = await new Promise((resolve) => {
      client.makeUnaryRequest<object, object>(
        path,
        requestSerialize,
        responseDeserialize,
        { service: '' },
        { deadline: Date.now() + 5_000 },
        resolve,
      );
    });

    expect(error).toMatchObject(closed);
    client.close();
  });

  test('that is broken keeps the server from starting', async () => {
    const { server, client } = certificates;

    await expect(serve({ tls: { ...server, key: client.key } })).rejects.toThrow(
      'unable to set up TLS: ',
    );
    await expect(serve({ tls: { ...server, cert: 'nonsense' } })).rejects.toThrow(
      'unable to set up TLS: ',
    );
  });
});

test('a server does not start where another one listens', async () => {
  const { port } = await serve();

  await expect(serve({ address: { host: 'localhost', port } })).rejects.toThrow('EADDRINUSE');
});

test('a server that is told to stop finishes the call at hand', async () => {
  const held = Promise.withResolvers<void>();
  const store = new MemoryKeyStore();
  const slow = new MemoryKeyStore();
  slow.findById = async (keyid) => {
    await held.promise;
    return store.findById(keyid);
  };
  const { keyid } = await aKey(store);
  const served = await serveGrpcSigner({
    keys: slow,
    address: { host: 'localhost', port: 0 },
    tls: { ...certificates.server, clientCa: certificates.ca },
    onError: () => {},
  });
  const channel = channelTo(served.port);
  await channel.call(checkHealth, { service: '' }, { until: Date.now() + 5_000, retry: false });
  const asked = channel.call(
    getKeyInfo,
    { ID: keyid },
    { until: Date.now() + 10_000, retry: false },
  );
  await delay(200);

  const closed = served.close();
  await delay(200);
  held.resolve();

  await expect(asked).resolves.toHaveProperty('publicKey');
  await closed;
});
