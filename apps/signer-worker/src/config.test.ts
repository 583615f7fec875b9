import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@scrivener/runtime';
import { createJobKey } from '@scrivener/signing';
import { makeChain } from '@scrivener/signing/grpc/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureCertificates } from '../../../fixtures/certificates.ts';
import { readWorkerConfig } from './config.ts';

const postgres = {
  backend: 'postgres',
  db_url: 'postgres://signer@db/signer',
  default_alias: 'ts1',
};
const server = {
  grpc_addr: ':7899',
  tls_cert_file: './notary-signer.crt',
  tls_key_file: './notary-signer.key',
};
const queue = { hostname: 'redis', job_key_file: 'jobs.key' };

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'signer-'));
  await ensureCertificates(new Date(), folder);
  writeFileSync(join(folder, 'jobs.key'), createJobKey());
  writeFileSync(join(folder, 'empty.crt'), 'nothing');
});
afterAll(() => rmSync(folder, { recursive: true }));

function read(settings: object, environment: Record<string, string> = {}) {
  const file = join(folder, 'signer.json');
  writeFileSync(file, JSON.stringify(settings));
  return readWorkerConfig(file, { NOTARY_SIGNER_TS1: 'x', NOTARY_SIGNER_TS2: 'y', ...environment });
}

const pem = expect.stringContaining('-----BEGIN ');

describe('readWorkerConfig', () => {
  test('takes the file of an old signer, which serves gRPC only', () => {
    const old = {
      server: { ...server, client_ca_file: './root-ca.crt' },
      logging: { level: 'WARNING' },
      storage: postgres,
      reporting: { bugsnag: { api_key: 'x', release_stage: 'production' } },
    };

    expect(read(old)).toEqual({
      logLevel: 'warn',
      grpc: {
        address: { port: 7899, written: ':7899' },
        tls: { cert: pem, key: pem, clientCa: pem },
        maxMessageBytes: 8_388_608,
      },
      queue: undefined,
      storage: { backend: 'postgres', databaseUrl: postgres.db_url, defaultAlias: 'ts1' },
      concurrency: 8 * availableParallelism(),
      metricsAddress: undefined,
      production: false,
      debug: false,
      warnings: ['reporting.bugsnag is not there any more: errors are in the log only'],
    });
  });

  test('takes everything from the environment', () => {
    const config = readWorkerConfig(undefined, {
      NOTARY_SIGNER_STORAGE_BACKEND: 'postgres',
      NOTARY_SIGNER_STORAGE_DB_URL: postgres.db_url,
      NOTARY_SIGNER_DEFAULT_ALIAS: 'ts2',
      NOTARY_SIGNER_TS2: 'swordfish',
      NOTARY_SIGNER_QUEUE_HOSTNAME: 'redis',
      NOTARY_SIGNER_QUEUE_PORT: '6380',
      NOTARY_SIGNER_QUEUE_JOB_KEY_FILE: join(folder, 'jobs.key'),
      NOTARY_SIGNER_CONCURRENCY: '4',
      NOTARY_SIGNER_DEBUG: 'true',
    });

    expect(config).toMatchObject({
      grpc: undefined,
      storage: { defaultAlias: 'ts2' },
      queue: { redis: { mode: 'single', hostname: 'redis', port: 6380 } },
      concurrency: 4,
      logLevel: 'error',
      debug: true,
    });
  });

  test('serves gRPC and a queue where both are there', () => {
    const settings = { mode: 'cluster', nodes: ['a:1'], job_key_file: 'jobs.key' };
    const config = read({ server, queue: settings, storage: { backend: 'memory' } });

    expect(config.grpc).toBeDefined();
    expect(config.queue?.redis).toMatchObject({ mode: 'cluster', nodes: [{ host: 'a', port: 1 }] });
  });

  test('prefers the alias of the file to that of the environment', () => {
    const config = read({ queue, storage: postgres }, { NOTARY_SIGNER_DEFAULT_ALIAS: 'ts2' });

    expect(config.storage).toMatchObject({ defaultAlias: 'ts1' });
  });

  test('needs nothing else for keys in memory', () => {
    expect(read({ queue, storage: { backend: 'memory' } }).storage).toEqual({ backend: 'memory' });
  });

  test.each<[object, string]>([
    [
      {},
      'grpc listen address required for server: set server.grpc_addr, or queue.hostname, or both',
    ],
    [{ server: { ...server, grpc_addr: '' } }, 'grpc listen address required for server'],
    [
      { server: { grpc_addr: ':7899' } },
      'unable to set up TLS: both the TLS certificate and key are mandatory',
    ],
    [
      { server: { ...server, tls_key_file: 'none.key' } },
      'unable to set up TLS: Could not load X509 key pair (cert: "',
    ],
    [
      { server: { ...server, client_ca_file: 'empty.crt' } },
      'unable to set up TLS: failed to append certificates from PEM file: "',
    ],
    [
      { server: { ...server, grpc_addr: 'localhost' } },
      'grpc server failed to listen on localhost: address localhost: missing port in address',
    ],
    [{ queue: { hostname: 'redis' } }, 'queue.job_key_file is required'],
    [{ queue: { ...queue, port: 'x' } }, 'queue.port must be a number'],
    [{ queue: { ...queue, port: 65_536 } }, 'queue.port must be at most 65535'],
    [
      { queue: { ...queue, tls_ca_file: 'none.crt' } },
      'unable to configure TLS to the Redis of queue: could not read CA certificate "',
    ],
    [{ queue }, ' is not an allowed backend, must be one of: postgres, memory'],
    ...['mysql', 'rethinkdb', 'sqlite3'].map((backend): [object, string] => [
      { queue, storage: { ...postgres, backend } },
      `${backend} is not an allowed backend, must be one of: postgres, memory`,
    ]),
    [
      { queue, storage: { ...postgres, default_alias: '' } },
      'must provide a default alias for the key DB',
    ],
    [
      { queue, storage: { ...postgres, default_alias: 'ts3' } },
      'no passphrase for the key alias "ts3": set the environment variable NOTARY_SIGNER_TS3',
    ],
    [
      { queue, storage: { ...postgres, db_url: '' } },
      'must provide a non-empty database source for postgres',
    ],
    [{ queue, storage: postgres, concurrency: -1 }, 'concurrency must be at least 0'],
    [{ logging: { level: 'loud' } }, 'not a valid logrus Level: "loud"'],
    [{ reporting: { bugsnag: { endpoint: 'x' } } }, 'must provide an API key for bugsnag'],
  ])('refuses %j', (settings, message) => {
    expect(() => read(settings)).toThrow(ConfigError);
    expect(() => read(settings)).toThrow(message);
  });

  test.each<[object, string]>([
    [{ server, storage: postgres }, 'production: the certificate of server.grpc_addr is meant for'],
    [{ queue, storage: { backend: 'memory' } }, 'production: storage.backend "memory" is gone'],
    [
      { queue, storage: { ...postgres, db_url: 'postgres://a:k2Hs@b/c?sslmode=verify-full' } },
      'production: the queue would be plain text',
    ],
  ])('in production, refuses %j', (settings, message) => {
    expect(() => read({ ...settings, production: true })).toThrow(message);
  });

  test('lets anybody use keys over gRPC only with a warning, and in production never', async () => {
    const { client } = await makeChain();
    writeFileSync(join(folder, 'own.crt'), client.cert);
    writeFileSync(join(folder, 'own.key'), client.key);
    const settings = {
      server: { ...server, tls_cert_file: './own.crt', tls_key_file: './own.key' },
      storage: { ...postgres, db_url: 'postgres://a:k2Hs@b/c?sslmode=verify-full' },
    };

    expect(read(settings).warnings).toEqual([
      'without server.client_ca_file whoever reaches :7899 can make, use and delete keys',
    ]);
    expect(() => read({ ...settings, production: true })).toThrow(
      'production: whoever reaches server.grpc_addr could use and delete keys: set server.client_ca_file',
    );
  });

  test('names a map that a variable tries to replace', () => {
    expect(() => read({ queue }, { NOTARY_SIGNER_STORAGE: 'memory' })).toThrow(
      'NOTARY_SIGNER_STORAGE cannot replace it',
    );
  });
});
