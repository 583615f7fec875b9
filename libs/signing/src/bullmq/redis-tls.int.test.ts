import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ensureCertificates } from '../../../../fixtures/certificates.ts';
import { createJobKey, parseJobKeys } from '../job-keys.ts';
import { createKeySigner } from '../key-signer.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import { createKeys } from '../testing/requests.ts';
import { createQueueSigner, redisOptions, serveSigner, type RedisAddress } from './index.ts';
import { mutualTls, startRedisServer, type RedisServer } from './testing/redis-server.ts';

const keys = parseJobKeys(createJobKey());
const folder = mkdtempSync(join(tmpdir(), 'redis-tls-'));
const foreign: ConnectionOptions = {};
let server: RedisServer;

beforeAll(async () => {
  server = await startRedisServer({
    settings: { requirepass: 'swordfish', bind: '127.0.0.1 127.0.0.2' },
  });
  await ensureCertificates(new Date(), folder);
  const read = (file: string) => readFileSync(join(folder, file));
  foreign.ca = read('root-ca.crt');
  foreign.cert = read('notary-signer.crt');
  foreign.key = read('notary-signer.key');
});
afterAll(async () => {
  await server.kill();
  rmSync(folder, { recursive: true });
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** An asker and a worker over that Redis, and all that they complain of. */
function stack(address: Partial<RedisAddress>) {
  const redis = redisOptions({
    hostname: 'localhost',
    port: server.port,
    password: 'swordfish',
    ...address,
  });
  const troubles: string[] = [];
  const worker = serveSigner({
    redis,
    keys,
    signer: createKeySigner(new MemoryKeyStore()),
    concurrency: 1,
    onError: (error) => troubles.push(`worker: ${String(error)}`),
  });
  const asker = createQueueSigner({
    redis,
    keys,
    deadline: 1_500,
    onError: (error) => troubles.push(`asker: ${String(error)}`),
  });
  closers.push(
    () => worker.close(),
    () => asker.close(),
  );
  return { asker, troubles };
}

describe('a Redis that speaks TLS with holders of certificates only', () => {
  test.each(['localhost', '127.0.0.1'])('serves a stack that has one, as %s', async (hostname) => {
    const { asker, troubles } = stack({ hostname, tls: mutualTls });

    await expect(createKeys(asker)).resolves.toBeDefined();
    expect(troubles).toEqual([]);
  });

  const { ca, cert, key } = mutualTls;
  test.each<[string, () => Partial<RedisAddress>, RegExp]>([
    ['without a certificate', () => ({ tls: { ca } }), /certificate required|ECONNRESET|closed/],
    ['with one of another CA', () => ({ tls: { ...foreign, ca } }), /unknown ca|ECONNRESET|closed/],
    ['that believes another CA', () => ({ tls: { ca: foreign.ca, cert, key } }), /certificate/],
    ['that believes the CAs of the system', () => ({ tls: { cert, key } }), /certificate/],
    [
      'that expects another name',
      () => ({ hostname: '127.0.0.2', tls: mutualTls }),
      /does not match/,
    ],
    ['in plain text', () => ({}), /ECONNRESET|closed|EPIPE/],
    [
      'that speaks nothing newer than TLS 1.1',
      () => ({ tls: { ...mutualTls, maxVersion: 'TLSv1.1' } }),
      /version|protocol/i,
    ],
  ])('refuses a stack %s', async (_, address, trouble) => {
    const { asker, troubles } = stack(address());

    await expect(createKeys(asker)).rejects.toMatchObject({
      name: 'SigningError',
      code: 'UNAVAILABLE',
    });
    expect(await asker.health()).toEqual({ queue: false, workers: 0, state: 'silent' });
    expect(troubles.join('\n')).toMatch(trouble);
  });

  test('refuses a stack that believes another CA whatever the environment says', async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    closers.push(async () => {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    });
    const { asker } = stack({ tls: { ...mutualTls, ca: foreign.ca } });

    await expect(createKeys(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

test('a stack that is to speak TLS says nothing in plain text, whoever listens', async () => {
  const heard: Buffer[] = [];
  const listener = createServer((socket) => {
    socket.on('data', (bytes) => {
      heard.push(bytes);
      socket.end('-ERR speak plainly\r\n');
    });
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  closers.push(async () => listener.close());
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address() as AddressInfo;
  const { asker } = stack({ port, tls: mutualTls });

  await expect(createKeys(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });

  expect(heard.length).toBeGreaterThan(3); // several connections, each of which tried again
  expect(heard.map((bytes) => bytes[0])).toEqual(heard.map(() => 0x16)); // TLS: a handshake
  expect(Buffer.concat(heard).includes('swordfish')).toBe(false);
});
