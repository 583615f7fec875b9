import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { assembleServerRoles } from '@scrivener/tuf';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startTcpProxy } from '../bullmq/testing/index.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import { signerContract } from '../signer.contract.ts';
import { createKeys, freshGun, publishRequest } from '../testing/requests.ts';
import { createRemoteSigner, serveGrpcSigner, type GrpcServeOptions } from './index.ts';
import { healthService, keyManagementService, signerService } from './protocol.ts';
import { makeCertificates, type TestCertificates } from './testing/certificates.ts';
import { serverCredentials } from './tls.ts';

let certificates: TestCertificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const serve = async (changes: Partial<GrpcServeOptions> = {}) => {
  const { ca, server } = certificates;
  const served = await serveGrpcSigner({
    keys: new MemoryKeyStore(),
    address: { host: 'localhost', port: 0 },
    tls: { ...server, clientCa: ca },
    onError: () => {},
    ...changes,
  });
  closers.push(() => served.close());
  return served;
};

const ask = (port: number, deadline?: number) => {
  const { ca, client } = certificates;
  const signer = createRemoteSigner({
    hostname: 'localhost',
    port,
    tls: { ca, ...client },
    ...(deadline === undefined ? {} : { deadline }),
  });
  closers.push(() => signer.close());
  return signer;
};

/** A Signer that answers as it is told. */
const serveWrong = async (
  keyManagement: UntypedServiceImplementation,
  signer: UntypedServiceImplementation = {},
) => {
  const server = new Server();
  server.addService(keyManagementService, keyManagement);
  server.addService(signerService, signer);
  server.addService(healthService, {});
  const credentials = serverCredentials(certificates.server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('localhost:0', credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  closers.push(async () => server.forceShutdown());
  return port;
};

const aKey = () => ({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' }) as const;

const took = async (work: Promise<unknown>) => {
  const begin = performance.now();
  await work;
  return performance.now() - begin;
};

describe('the remote signer, asking a server of ours', () => {
  signerContract(
    async () => {
      const served = await serveGrpcSigner({
        keys: new MemoryKeyStore(),
        address: { host: 'localhost', port: 0 },
        tls: { ...certificates.server, clientCa: certificates.ca },
        onError: () => {},
      });
      const { ca, client } = certificates;
      const signer = createRemoteSigner({
        hostname: 'localhost',
        port: served.port,
        tls: { ca, ...client },
      });
      return {
        createKey: (request) => signer.createKey(request),
        sign: (request) => signer.sign(request),
        close: async () => {
          await signer.close();
          await served.close();
        },
      };
    },
    { knowsRepositories: false },
  );

  test('signs a timestamp for a snapshot that is there already', async () => {
    const signer = ask((await serve()).port);
    const keys = await createKeys(signer);
    const both = publishRequest(keys);
    const [snapshot] = assembleServerRoles(both, await signer.sign(both));
    if (snapshot === undefined) throw new Error('no snapshot');

    const { gun, timestamp } = publishRequest(keys, 2n);
    const signatures = await signer.sign({ gun, timestamp: { ...timestamp, snapshot } });

    expect(signatures).toEqual({ timestamp: [expect.objectContaining({ keyid: keys.timestamp })] });
  });

  test('learns what keys are for that it did not see made', async () => {
    const { port } = await serve();
    const keys = await createKeys(ask(port));

    const signatures = await ask(port).sign(publishRequest(keys));

    expect(signatures).toEqual(await ask(port).sign(publishRequest(keys)));
    await expect(
      ask(port).sign(publishRequest({ ...keys, timestamp: keys.snapshot })),
    ).rejects.toMatchObject({ code: 'UNKNOWN_KEY' });
  });

  test('uses up no key for a request that names an unknown one, too', async () => {
    const store = new MemoryKeyStore();
    const signer = ask((await serve({ keys: store })).port);
    const keys = await createKeys(signer);
    await store.remove(keys.timestamp);

    await expect(ask((await serve({ keys: store })).port).sign(publishRequest(keys)))
      .rejects //
      .toMatchObject({ code: 'UNKNOWN_KEY' });

    const asked = { gun: keys.gun, role: 'snapshot', algorithm: 'ed25519' } as const;
    expect(await store.findPending(asked)).toBeDefined();
  });

  test('says so where a request is more than the signer takes', async () => {
    const signer = ask((await serve({ maxMessageBytes: 256 })).port);
    const keys = await createKeys(signer);

    await expect(signer.sign(publishRequest(keys))).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringContaining('larger than max'),
    });
  });

  test('says that both services are serving', async () => {
    expect(await ask((await serve()).port).health()).toEqual({ keyManagement: true, signer: true });
  });
});

const away = async (deadline?: number) => {
  const { port } = await serve();
  const proxy = await startTcpProxy({ host: 'localhost', port });
  closers.push(() => proxy.close());
  return { proxy, signer: ask(proxy.port, deadline) };
};

describe('a signer that is away', () => {
  test.each(['cut', 'freeze'] as const)(
    '(%s) is UNAVAILABLE within the deadline, and there again soon after it is back',
    async (fail) => {
      const { proxy, signer } = await away(1_500);
      await signer.createKey(aKey());

      proxy[fail]();
      const begin = performance.now();
      await expect(signer.createKey(aKey())).rejects.toMatchObject({
        name: 'SigningError',
        code: 'UNAVAILABLE',
      });
      expect(performance.now() - begin).toBeLessThan(4_000);
      expect(await took(signer.health())).toBeLessThan(4_000);
      expect(await signer.health()).toEqual({ keyManagement: false, signer: false });

      await proxy.restore();
      await expect
        .poll(
          () =>
            signer.createKey(aKey()).then(
              () => true,
              () => false,
            ),
          { timeout: 5_000 },
        )
        .toBe(true);
    },
  );

  test('for less than the deadline goes unnoticed', async () => {
    const { proxy, signer } = await away();
    const keys = await createKeys(signer);
    proxy.cut();

    const signed = signer.sign(publishRequest(keys));
    await delay(1_000);
    await proxy.restore();

    await expect(signed).resolves.toBeDefined();
  });

  test('because it was restarted goes unnoticed, by calls under way and by later ones', async () => {
    const keys = new MemoryKeyStore();
    const options: GrpcServeOptions = {
      keys,
      address: { host: 'localhost', port: 0 },
      tls: { ...certificates.server, clientCa: certificates.ca },
      onError: () => {},
    };
    const first = await serveGrpcSigner(options);
    const signer = ask(first.port);
    const made = await createKeys(signer);
    const versions = Array.from({ length: 200 }, (_, index) => BigInt(index + 1));

    const signed = versions.map(async (version) => {
      await delay(Number(version) * 5);
      return signer.sign(publishRequest(made, version));
    });
    await delay(300);
    await first.close();
    await serve({ keys, address: { host: 'localhost', port: first.port } });

    expect(
      new Set((await Promise.all(signed)).map(({ timestamp }) => timestamp[0]?.sig)).size,
    ).toBe(versions.length);
  });

  test('from the start is UNAVAILABLE, and no reason not to start', async () => {
    await expect(ask(1, 500).createKey(aKey())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('does not keep us from closing', async () => {
    const signer = ask(1, 60_000);
    const asked = signer.createKey(aKey()).catch((error: unknown) => error);
    await delay(100);

    expect(await took(signer.close())).toBeLessThan(1_000);
    expect(await asked).toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('on a connection that died in silence is asked over a new one', async () => {
    const { port } = await serve();
    const sockets: Socket[] = [];
    const middle = createServer((inbound) => {
      const outbound = connect(port, 'localhost');
      inbound.pipe(outbound).pipe(inbound);
      for (const socket of [inbound, outbound]) socket.on('error', () => socket.destroy());
      sockets.push(inbound, outbound);
    });
    middle.listen(0);
    await once(middle, 'listening');
    closers.push(async () => {
      middle.close();
      for (const socket of sockets) socket.destroy();
    });
    const signer = ask((middle.address() as AddressInfo).port);
    await signer.createKey(aKey());

    for (const socket of sockets) socket.unpipe().pause();

    await expect(signer.createKey(aKey())).resolves.toBeDefined();
  });
});

describe('a server that shows a certificate of another CA', () => {
  test('is not asked', async () => {
    const others = await makeCertificates();
    const { port } = await serve({ tls: others.server });

    await expect(ask(port, 500).createKey(aKey())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('certificate'),
    });
  });

  test('or for another name is not asked', async () => {
    const { port } = await serve({ address: { port: 0 } });
    const { ca, client } = certificates;
    const signer = createRemoteSigner({
      hostname: '127.0.0.2',
      port,
      tls: { ca, ...client },
      deadline: 500,
    });
    closers.push(() => signer.close());

    await expect(signer.createKey(aKey())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('altnames'),
    });
  });
});

describe('an answer that cannot be right', () => {
  const id = 'ab'.repeat(32);
  const message = (algorithm: string, ID: string | null = id) => ({
    keyInfo: { keyID: ID === null ? null : { ID }, algorithm: { algorithm } },
    publicKey: Buffer.alloc(32),
  });

  test.each<[string, object]>([
    ['nothing', {}],
    ['a key under another id', message('ed25519')],
    ['a key without an id', message('ed25519', null)],
    ['a key of another algorithm', message('ecdsa')],
  ])('to CreateKey is UNAVAILABLE: %s', async (_, answer) => {
    const port = await serveWrong({
      CreateKey: (_: unknown, respond: (error: null, answer: object) => void) =>
        respond(null, answer),
    });

    await expect(ask(port).createKey(aKey())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'the signer gave an unintelligible answer',
    });
  });

  test('to Sign is UNAVAILABLE: an empty signature', async () => {
    const { port } = await serve();
    const real = ask(port);
    const keys = await createKeys(real);
    const wrong = await serveWrong(
      {
        GetKeyInfo: (
          { request }: { request: { ID: string } },
          respond: (error: null, answer: object) => void,
        ) => respond(null, { ...message('ed25519', request.ID), role: 'timestamp' }),
      },
      {
        Sign: (_: unknown, respond: (error: null, answer: object) => void) =>
          respond(null, { content: Buffer.of() }),
      },
    );

    await expect(ask(wrong).sign(publishRequest(keys))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  test.each([
    [status.INTERNAL, 'UNAVAILABLE'],
    [status.PERMISSION_DENIED, 'UNAVAILABLE'],
    [status.UNKNOWN, 'UNAVAILABLE'],
    [status.NOT_FOUND, 'UNKNOWN_KEY'],
  ])('is told apart by its code: %i is %s', async (code, expected) => {
    const port = await serveWrong({
      CreateKey: (_: unknown, respond: (error: object) => void) =>
        respond({ code, details: 'because' }),
    });

    await expect(ask(port).createKey(aKey())).rejects.toMatchObject({
      code: expected,
      message: expect.stringContaining('because'),
    });
  });
});
