import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@scrivener/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureCertificates } from '../../../fixtures/certificates.ts';
import { readServerConfig } from './config.ts';

const MINIMAL = {
  server: { http_addr: ':4443' },
  trust_service: { type: 'local' },
  storage: { backend: 'memory' },
};

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
  await ensureCertificates(new Date(), folder);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(join(folder, 'other.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(join(folder, 'empty.crt'), 'nothing');
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = (settings: object, environment: Record<string, string> = {}) => {
  const file = join(folder, 'server.json');
  writeFileSync(file, JSON.stringify({ ...MINIMAL, ...settings }));
  return readServerConfig(file, environment);
};

test('the smallest configuration has these defaults', () => {
  expect(read({})).toEqual({
    logLevel: 'error',
    gunPrefixes: [],
    trustService: { type: 'local' },
    storage: { backend: 'memory' },
    caching: { current: 300, consistent: 2_592_000 },
    address: { port: 4443 },
    tls: undefined,
    uploads: { uploadBytes: 104_857_600, parts: 10_000, partHeaderBytes: 16_384 },
    times: { headersMs: 60_000, requestMs: 300_000, idleMs: 75_000 },
    answerMs: 10_000,
  });
});

test('everything can be said', () => {
  const config = read({
    server: {
      http_addr: 'localhost:443',
      tls_cert_file: 'notary-server.crt',
      tls_key_file: './notary-server.key',
      client_ca_file: 'root-ca.crt',
    },
    trust_service: { type: 'queue', hostname: 'redis', port: '6380', key_algorithm: 'ed25519' },
    storage: { backend: 'postgres', db_url: 'postgres://x' },
    logging: { level: 'Warning' },
    repositories: { gun_prefixes: ['docker.io/', 'a/b/'] },
    caching: { max_age: { current_metadata: '0', consistent_metadata: 31_536_000 } },
    limits: { upload_bytes: '1000', request_seconds: 1.5, answer_seconds: '2' },
    unknown: { is: 'ignored' },
  });

  expect(config).toMatchObject({
    logLevel: 'warn',
    gunPrefixes: ['docker.io/', 'a/b/'],
    trustService: { type: 'queue', hostname: 'redis', port: 6380, keyAlgorithm: 'ed25519' },
    storage: { backend: 'postgres', databaseUrl: 'postgres://x' },
    caching: { current: 0, consistent: 31_536_000 },
    address: { host: 'localhost', port: 443 },
    tls: {
      cert: expect.stringContaining('BEGIN CERTIFICATE'),
      key: expect.stringContaining('BEGIN PRIVATE KEY'),
      clientCa: expect.stringContaining('BEGIN CERTIFICATE'),
    },
    uploads: { uploadBytes: 1000 },
    times: { requestMs: 1500 },
    answerMs: 2000,
  });
});

test('the environment overrides the file and replaces missing sections', () => {
  const config = read(
    {},
    {
      NOTARY_SERVER_SERVER_HTTP_ADDR: '[::1]:1',
      NOTARY_SERVER_CACHING_MAX_AGE_CURRENT_METADATA: '7',
      NOTARY_SERVER_REPOSITORIES_GUN_PREFIXES: ' a/  b/',
      NOTARY_SERVER_LOGGING_LEVEL: '',
    },
  );

  expect(config).toMatchObject({
    address: { host: '::1', port: 1 },
    caching: { current: 7, consistent: 2_592_000 },
    gunPrefixes: ['a/', 'b/'],
    logLevel: 'error',
  });
});

test.each([null, ''])('a max-age of %j is the default', (age) => {
  const config = read({ caching: { max_age: { current_metadata: age } } });

  expect(config.caching.current).toBe(300);
});

const certificate = (files: object) => ({ server: { http_addr: ':1', ...files } });

describe('a refusal', () => {
  test.each<[object, string]>([
    [{ logging: { level: 'loud' } }, 'not a valid logrus Level: "loud"'],
    ...['docker.io', '/a/', '../a/', 'a//b/', ' a/', '', '/'].map((prefix): [object, string] => [
      { repositories: { gun_prefixes: [prefix] } },
      `invalid GUN prefix ${prefix}`,
    ]),
    [{ trust_service: {} }, 'must specify either a "local" or "remote" type for trust_service'],
    [{ trust_service: { type: 'remote' } }, 'trust_service.type "remote" is not there yet'],
    [
      { trust_service: { type: 'queue', key_algorithm: 'rsa' } },
      'invalid key algorithm configured: rsa',
    ],
    [{ storage: { backend: 'mysql' } }, 'mysql is not a supported storage backend: use "postgres"'],
    [{ storage: { backend: 'sqlite3' } }, 'sqlite3 is not a supported storage backend'],
    [{ storage: {} }, ' is not a supported storage backend'],
    [{ storage: { backend: 'postgres' } }, 'must provide a non-empty database source for postgres'],
    ...[-1, 31_536_001, 1.5, 'x', true].map((age): [object, string] => [
      { caching: { max_age: { consistent_metadata: age } } },
      'must specify a cache-control max-age between 0 and 31536000',
    ]),
    [{ server: {} }, 'http listen address required for server'],
    [{ server: { http_addr: 'localhost' } }, 'address localhost: missing port in address'],
    [{ server: { http_addr: ':foo' } }, 'address tcp/foo: unknown port'],
    [{ server: { http_addr: ':99999' } }, 'address 99999: invalid port'],
    [
      certificate({ tls_cert_file: 'notary-server.crt' }),
      'either include both a cert and key file, or no TLS information at all to disable TLS',
    ],
    [certificate({ client_ca_file: 'root-ca.crt' }), 'either include both a cert and key file'],
    [
      certificate({ tls_cert_file: 'none.crt', tls_key_file: 'notary-server.key' }),
      'none.crt: no such file or directory',
    ],
    [
      certificate({ tls_cert_file: 'notary-server.crt', tls_key_file: 'other.key' }),
      'tls: private key does not match public key. Make sure the key is not encrypted.',
    ],
    [
      certificate({ tls_cert_file: 'empty.crt', tls_key_file: 'notary-server.key' }),
      'Error reading X509 key pair (cert: "',
    ],
    [
      certificate({
        tls_cert_file: 'notary-server.crt',
        tls_key_file: 'notary-server.key',
        client_ca_file: 'none.crt',
      }),
      'could not read CA certificate "',
    ],
    [
      certificate({
        tls_cert_file: 'notary-server.crt',
        tls_key_file: 'notary-server.key',
        client_ca_file: 'empty.crt',
      }),
      'failed to append certificates from PEM file: "',
    ],
    [{ auth: { type: 'token' } }, 'auth.type "token" is not there yet'],
    [{ limits: { upload_bytes: 0 } }, 'limits.upload_bytes'],
    [{ limits: { request_seconds: 'x' } }, 'limits.request_seconds'],
  ])('of %j', (settings, message) => {
    expect(() => read(settings)).toThrow(ConfigError);
    expect(() => read(settings)).toThrow(message);
  });

  test('is not made for other values of auth.type', () => {
    expect(read({ auth: { type: 'Token' } })).toBeDefined();
  });
});
