import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SigningError } from '@scrivener/signing';
import { startTcpProxy } from '@scrivener/signing/bullmq/testing';
import { createRemoteSigner, type RemoteSigner } from '@scrivener/signing/grpc';
import { makeCertificates, type TestCertificates } from '@scrivener/signing/grpc/testing';
import { createKeys, freshGun, publishRequest } from '@scrivener/signing/testing';
import { keyId } from '@scrivener/tuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from './testing/database.ts';
import { startWorker, type WorkerProcess } from './testing/worker-process.ts';

let database: TestDatabase;
let certificates: TestCertificates;
let folder: string;
beforeAll(async () => {
  database = await createTestDatabase();
  certificates = await makeCertificates();
  folder = mkdtempSync(join(tmpdir(), 'grpc-worker-'));
  const { ca, server, client } = certificates;
  writeFileSync(join(folder, 'ca.crt'), ca);
  writeFileSync(join(folder, 'signer.crt'), server.cert);
  writeFileSync(join(folder, 'signer.key'), server.key);
  writeFileSync(join(folder, 'other.key'), client.key);
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.drop();
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const freePort = async () => {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
};

const settings = (port: number) => ({
  NOTARY_SIGNER_STORAGE_BACKEND: 'postgres',
  NOTARY_SIGNER_STORAGE_DB_URL: database.url,
  NOTARY_SIGNER_DEFAULT_ALIAS: 'ts1',
  NOTARY_SIGNER_TS1: 'swordfish',
  NOTARY_SIGNER_SERVER_GRPC_ADDR: `localhost:${port}`,
  NOTARY_SIGNER_SERVER_TLS_CERT_FILE: join(folder, 'signer.crt'),
  NOTARY_SIGNER_SERVER_TLS_KEY_FILE: join(folder, 'signer.key'),
  NOTARY_SIGNER_SERVER_CLIENT_CA_FILE: join(folder, 'ca.crt'),
});

interface Stack {
  readonly worker: WorkerProcess;
  readonly asker: RemoteSigner;
  readonly port: number;
}

/** A worker without a queue that is serving, and somebody who asks it. */
async function start(changes: Record<string, string> = {}): Promise<Stack> {
  const stack = await launch(changes);
  await stack.worker.said('serving gRPC');
  return stack;
}

async function launch(changes: Record<string, string>): Promise<Stack> {
  const port = await freePort();
  const worker = startWorker({ ...settings(port), ...changes });
  closers.push(() => {
    worker.signal('SIGKILL');
    return worker.ended;
  });
  const { ca, client } = certificates;
  const asker = createRemoteSigner({ hostname: 'localhost', port, tls: { ca, ...client } });
  closers.push(() => asker.close());
  return { worker, asker, port };
}

const WELL = { keyManagement: true, signer: true };
const ILL = { keyManagement: false, signer: false };

describe('a worker with server.grpc_addr and no queue', () => {
  test('makes keys and signs; SIGTERM ends it with status 0', async () => {
    const { worker, asker } = await start();
    const keys = await createKeys(asker, 'ecdsa');
    await expect(asker.sign(publishRequest(keys))).resolves.toBeDefined();
    expect(await asker.health()).toEqual(WELL);

    worker.signal('SIGTERM');

    expect(await worker.ended).toBe(0);
    const log = worker.log.join('\n');
    expect(log).not.toContain('"level":"error"');
    expect(log).not.toContain('Timestamp'); // of what was signed, nothing is logged
  });

  test('shares its keys with another, and many who ask both at once are given one', async () => {
    const [one, other] = await Promise.all([start(), start()]);
    const request = { gun: freshGun(), role: 'timestamp', algorithm: 'ecdsa' } as const;

    const keys = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? one : other).asker.createKey(request),
      ),
    );

    expect(new Set(keys.map(keyId)).size).toBe(1);
  });

  test('is not serving while its database is away, and says UNAVAILABLE', async () => {
    const url = new URL(database.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    closers.push(() => proxy.close());
    url.port = String(proxy.port);
    const { worker, asker } = await start({ NOTARY_SIGNER_STORAGE_DB_URL: url.href });
    const keys = await createKeys(asker);

    proxy.cut();
    expect(await asker.health()).toEqual(ILL);
    await expect(asker.sign(publishRequest(keys))).rejects.toMatchObject({
      name: 'SigningError',
      code: 'UNAVAILABLE',
    } satisfies Partial<SigningError>);
    await proxy.restore();

    await expect(asker.sign(publishRequest(keys))).resolves.toBeDefined();
    expect(await asker.health()).toEqual(WELL);
    expect(worker.log.join('\n')).toContain('the key database failed');
  });

  test('starts before its database, not serving', async () => {
    const { worker, asker } = await start({
      NOTARY_SIGNER_STORAGE_DB_URL: 'postgres://nobody@127.0.0.1:1/none',
    });
    await worker.said('waiting for the database');

    expect(await asker.health()).toEqual(ILL);
    worker.signal('SIGTERM');
    expect(await worker.ended).toBe(0);
  });

  test('with another passphrase does not call a key unknown', async () => {
    const [one, other] = await Promise.all([start(), start({ NOTARY_SIGNER_TS1: 'swordfsh' })]);
    const keys = await createKeys(one.asker);

    await expect(other.asker.sign(publishRequest(keys))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  test.each<[string, () => Record<string, string>, string]>([
    [
      'the key of another certificate',
      () => ({ NOTARY_SIGNER_SERVER_TLS_KEY_FILE: join(folder, 'other.key') }),
      'unable to set up TLS',
    ],
    [
      'a CA file that is none',
      () => ({ NOTARY_SIGNER_SERVER_CLIENT_CA_FILE: join(folder, 'other.key') }),
      'unable to set up TLS',
    ],
    ['no key', () => ({ NOTARY_SIGNER_SERVER_TLS_KEY_FILE: '' }), 'unable to set up TLS'],
    [
      'no address',
      () => ({ NOTARY_SIGNER_SERVER_GRPC_ADDR: '' }),
      'grpc listen address required for server',
    ],
    [
      'an address that is none',
      () => ({ NOTARY_SIGNER_SERVER_GRPC_ADDR: 'localhost:x' }),
      'grpc server failed to listen on localhost:x',
    ],
  ])('does not start with %s', async (_, changes, message) => {
    const { worker } = await launch(changes());

    expect(await worker.ended).toBe(1);
    expect(JSON.parse(worker.log.at(-1) ?? '')).toMatchObject({
      level: 'fatal',
      msg: expect.stringContaining(message),
    });
  });

  test('does not start where somebody else listens', async () => {
    const { port } = await start();

    const second = startWorker(settings(port));

    expect(await second.ended).toBe(1);
    expect(JSON.parse(second.log.at(-1) ?? '')).toMatchObject({
      level: 'fatal',
      msg: expect.stringContaining(`grpc server failed to listen on localhost:${port}: `),
    });
  });
});
