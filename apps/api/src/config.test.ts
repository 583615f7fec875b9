import { BlockList } from 'node:net';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@scrivener/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureCertificates } from '../../../fixtures/certificates.ts';
import { createJobKey } from '@scrivener/signing';
import { DEFAULT_GUARD } from '@scrivener/tuf';
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
  const options = { type: 'pkcs8', format: 'pem', cipher: 'aes256', passphrase: 'x' } as const;
  writeFileSync(join(folder, 'encrypted.key'), privateKey.export(options));
  writeFileSync(join(folder, 'empty.crt'), 'nothing');
  writeFileSync(join(folder, 'jobs.key'), createJobKey());
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
    memoryBytes: 32 * 1024 * 1024,
    address: { port: 4443, written: ':4443' },
    workers: 1,
    tls: undefined,
    auth: undefined,
    uploads: {
      uploadBytes: 104_857_600,
      parts: 10_000,
      parsedBytes: 1024 * 1024 * 1024,
      partHeaderBytes: 16_384,
    },
    times: { headersMs: 60_000, requestMs: 300_000, idleMs: 75_000 },
    admission: {
      uploads: 512,
      uploadsBytes: 200 * 1024 * 1024,
      changes: 256,
      waiting: 256,
      waitMs: 2_000,
    },
    connections: 10_000,
    answerMs: 10_000,
    drainMs: 0,
    eventStreams: 100,
    history: { places: 2, waiting: 16, waitMs: 2_000 },
    guard: DEFAULT_GUARD,
    audit: { remoteAddress: false, trustedProxies: expect.any(BlockList) },
    renewal: {
      enabled: true,
      lifeLeft: 0.33,
      jitter: 0.1,
      perSecond: 20,
      pollMs: 10_000,
      retryMs: 60_000,
    },
    production: false,
    debug: false,
    warnings: [],
  });
});

describe('server.workers', () => {
  const shared = {
    trust_service: { type: 'queue', job_key_file: 'jobs.key' },
    storage: { backend: 'postgres', db_url: 'postgres://x/y' },
  };
  const workers = (given: unknown, more: object = shared) =>
    read({ ...more, server: { http_addr: ':4443', workers: given } }).workers;

  test.each([
    [3, 3],
    ['3', 3],
    ['auto', availableParallelism()],
  ])('is understood as %j', (given, expected) => {
    expect(workers(given)).toBe(expected);
  });

  test.each([0, -1, 1.5, 257, 'many', true])('is refused as %j', (given) => {
    expect(() => workers(given)).toThrow(
      /^server\.workers must be (?:a whole|at least 1|at most 256)/,
    );
  });

  test.each([
    ['storage.backend "memory"', { ...shared, storage: { backend: 'memory' } }],
    ['trust_service.type "local"', { ...shared, trust_service: { type: 'local' } }],
  ])('is refused above 1 with %s, which several cannot share', (alone, settings) => {
    expect(workers(1, settings)).toBe(1);
    expect(() => workers(2, settings)).toThrow(
      new ConfigError(
        `server.workers is 2, but ${alone} is of one process: use 1, or what several can share`,
      ),
    );
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
    trust_service: {
      type: 'queue',
      hostname: 'redis',
      port: '6380',
      key_algorithm: 'ed25519',
      username: 'api',
      password: 'p',
      prefix: 'second',
      job_key_file: 'jobs.key',
      tls_ca_file: 'root-ca.crt',
      tls_client_cert: 'notary-server.crt',
      tls_client_key: 'notary-server.key',
    },
    storage: { backend: 'postgres', db_url: 'postgres://x/y' },
    logging: { level: 'Warning' },
    repositories: { gun_prefixes: ['docker.io/', 'a/b/'] },
    caching: { max_age: { current_metadata: '0', consistent_metadata: 31_536_000 } },
    auth: {
      type: 'token',
      options: {
        realm: 'https://auth.example.com/token',
        issuer: 'auth.example.com',
        service: 'notary',
        rootcertbundle: join(folder, 'root-ca.crt'),
      },
    },
    reporting: { bugsnag: { api_key: 'x', release_stage: 'y' } },
    limits: { upload_bytes: '1000', request_seconds: 1.5, answer_seconds: '2' },
    guard: { version_jump: '5', thresholds: 'all' },
    renewal: { enabled: 'false', life_left_percent: 50, poll_seconds: 1 },
    production: 'false',
    debug: 'true',
    unknown: { is: 'ignored' },
  });

  expect(config).toMatchObject({
    logLevel: 'warn',
    gunPrefixes: ['docker.io/', 'a/b/'],
    trustService: {
      type: 'queue',
      keyAlgorithm: 'ed25519',
      prefix: 'second',
      jobKeys: { jobs: [expect.anything()] },
      redis: {
        hostname: 'redis',
        port: 6380,
        username: 'api',
        password: 'p',
        tls: {
          ca: expect.stringContaining('BEGIN CERTIFICATE'),
          cert: expect.stringContaining('BEGIN CERTIFICATE'),
          key: expect.stringContaining('BEGIN PRIVATE KEY'),
        },
      },
    },
    storage: { backend: 'postgres', databaseUrl: 'postgres://x/y' },
    auth: {
      realm: 'https://auth.example.com/token',
      issuer: 'auth.example.com',
      service: 'notary',
      rootCertBundle: [expect.anything()],
      autoredirect: false,
    },
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
    guard: { ...DEFAULT_GUARD, versionJump: 5n, thresholds: 'all' },
    renewal: { enabled: false, lifeLeft: 0.5, pollMs: 1_000 },
    production: false,
    debug: true,
    warnings: ['reporting.bugsnag is not there any more: errors are in the log only'],
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

test('a signer that stays is asked over TLS, with the CAs of the system where none is named', () => {
  const trust_service = { type: 'remote', hostname: 'signer', port: 7899, key_algorithm: 'ecdsa' };

  expect(read({ trust_service }).trustService).toEqual({
    type: 'remote',
    hostname: 'signer',
    port: 7899,
    keyAlgorithm: 'ecdsa',
    tls: {},
  });
});

test.each([null, ''])('a max-age of %j is the default', (age) => {
  const config = read({ caching: { max_age: { current_metadata: age } } });

  expect(config.caching.current).toBe(300);
});

const REMOTE = { type: 'remote', hostname: 'signer', port: 7899, key_algorithm: 'ecdsa' };
const TOKENS = { realm: 'r', issuer: 'i', service: 's', rootcertbundle: 'none.crt' };
const certificate = (files: object) => ({ server: { http_addr: ':1', ...files } });

/** Files as installations of the old server have them, and what comes of them. */
test.each<[object, string]>([
  [{}, 'production: server.http_addr would be plain text'],
  [
    {
      server: {
        http_addr: ':4443',
        tls_cert_file: 'notary-server.crt',
        tls_key_file: 'notary-server.key',
      },
    },
    'production: the certificate of server.http_addr is meant for development',
  ],
])('in production, %j is refused', (settings, message) => {
  expect(() => read({ ...settings, production: true })).toThrow(ConfigError);
  expect(() => read(settings, { NOTARY_SERVER_PRODUCTION: 'true' })).toThrow(message);
});

describe('an old file', () => {
  const tls = {
    http_addr: ':4443',
    tls_key_file: './notary-server.key',
    tls_cert_file: './notary-server.crt',
  };
  const signer = {
    type: 'remote',
    hostname: 'notarysigner',
    port: '7899',
    tls_ca_file: './root-ca.crt',
    key_algorithm: 'ecdsa',
    tls_client_cert: './notary-server.crt',
    tls_client_key: './notary-server.key',
  };

  test('on PostgreSQL with a signer loads as it is', () => {
    const old = {
      server: tls,
      trust_service: signer,
      logging: { level: 'debug' },
      storage: {
        backend: 'postgres',
        db_url: `postgres://server@postgresql:5432/notaryserver?sslmode=verify-ca&sslrootcert=${folder}/root-ca.crt`,
      },
      reporting: { bugsnag: { api_key: 'x', release_stage: 'production' } },
      caching: { max_age: { current_metadata: 300, consistent_metadata: '31536000' } },
      repositories: { gun_prefixes: ['docker.io/', 'my-own-registry.com/'] },
    };

    expect(read(old)).toMatchObject({
      trustService: { type: 'remote', hostname: 'notarysigner', port: 7899 },
      storage: { backend: 'postgres', databaseUrl: expect.stringContaining('sslmode=verify-full') },
      tls: { cert: expect.any(String) },
      caching: { current: 300, consistent: 31_536_000 },
      gunPrefixes: ['docker.io/', 'my-own-registry.com/'],
      logLevel: 'debug',
    });
  });

  test('that tries things out in memory loads as it is', () => {
    const old = {
      server: tls,
      trust_service: {
        type: 'local',
        hostname: '',
        port: '',
        key_algorithm: 'ed25519',
        tls_ca_file: '',
      },
      logging: { level: 'debug' },
      storage: { backend: 'memory' },
    };

    expect(read(old)).toMatchObject({
      trustService: { type: 'local' },
      storage: { backend: 'memory' },
    });
  });

  test('of a registry with tokens loads as it is', () => {
    const options = { realm: 'https://x/token', issuer: 'x', service: 'y' };
    const bundle = join(folder, 'root-ca.crt');
    const old = {
      server: { http_addr: ':4443' },
      trust_service: signer,
      storage: {
        backend: 'postgres',
        db_url: 'host=db port=5432 user=server dbname=notary sslmode=disable',
      },
      auth: { type: 'token', options: { ...options, rootcertbundle: bundle } },
    };

    expect(read(old)).toMatchObject({
      auth: { ...options, rootCertBundle: [expect.anything()] },
      storage: { databaseUrl: 'postgres://server@db:5432/notary?sslmode=disable' },
    });
  });

  test.each([
    ['mysql', 'server@tcp(mysqlserver:3306)/notaryserver?parseTime=True'],
    ['rethinkdb', 'rdb-proxy.rdb:28015'],
    ['sqlite3', '/var/lib/notary.db'],
  ])('on %s says in one line what to change', (backend, db_url) => {
    const storage = { backend, db_url, tls_ca_file: './ca.pem', username: 'server' };

    expect(() => read({ server: tls, trust_service: signer, storage })).toThrow(
      /^\w+ is not a supported storage backend, use "postgres".*$/,
    );
  });
});

describe('a refusal', () => {
  test.each<[object, string]>([
    [{ logging: { level: 'loud' } }, 'not a valid logrus Level: "loud"'],
    ...['docker.io', '/a/', '../a/', 'a//b/', ' a/', '', '/'].map((prefix): [object, string] => [
      { repositories: { gun_prefixes: [prefix] } },
      `invalid GUN prefix ${prefix}`,
    ]),
    [{ trust_service: {} }, 'must specify either a "local" or "remote" type for trust_service'],
    [{ trust_service: { type: 'Local' } }, 'must specify either a "local" or "remote" type'],
    ...['', 'rsa', 'ECDSA'].map((algorithm): [object, string] => [
      { trust_service: { type: 'remote', key_algorithm: algorithm } },
      `invalid key algorithm configured: ${algorithm}`,
    ]),
    [
      { trust_service: { ...REMOTE, tls_client_key: 'notary-server.key' } },
      'either pass both client key and cert, or neither',
    ],
    [
      { trust_service: { ...REMOTE, tls_ca_file: 'none.crt' } },
      'unable to configure TLS to the trust service: could not read CA certificate "',
    ],
    [
      { trust_service: { ...REMOTE, tls_ca_file: 'empty.crt' } },
      'unable to configure TLS to the trust service: failed to append certificates from PEM file: "',
    ],
    [
      {
        trust_service: {
          ...REMOTE,
          tls_client_cert: 'notary-server.crt',
          tls_client_key: 'other.key',
        },
      },
      'unable to configure TLS to the trust service: Error reading X509 key pair (cert: "',
    ],
    [
      { trust_service: { type: 'remote', key_algorithm: 'ecdsa' } },
      'trust_service.hostname and trust_service.port are required for "remote"',
    ],
    [{ trust_service: { type: 'queue' } }, 'trust_service.job_key_file is required'],
    [
      { trust_service: { type: 'queue', job_key_file: 'empty.crt' } },
      'trust_service.job_key_file: line 1',
    ],
    [{ trust_service: { type: 'queue', mode: 'x' } }, 'trust_service.mode must be "single"'],
    [
      { trust_service: { type: 'queue', key_algorithm: 'rsa' } },
      'invalid key algorithm configured: rsa',
    ],
    ...['mysql', 'rethinkdb', 'sqlite3'].map((backend): [object, string] => [
      { storage: { backend, db_url: 'x' } },
      `${backend} is not a supported storage backend, use "postgres"`,
    ]),
    [
      { storage: { backend: 'oracle' } },
      'oracle is not a supported storage backend, use "postgres"',
    ],
    [{ storage: {} }, ' is not a supported storage backend'],
    [{ storage: { backend: 'postgres', db_url: 'x' } }, 'error starting postgres driver: '],
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
    [
      certificate({ tls_cert_file: 'notary-server.crt', tls_key_file: 'encrypted.key' }),
      '. Make sure the key is not encrypted.',
    ],
    ...[undefined, null, 'x', [], 7].map((options): [object, string] => [
      { auth: { type: 'token', options } },
      'auth.options must be a map[string]interface{}',
    ]),
    ...['realm', 'issuer', 'service', 'rootcertbundle'].flatMap((name) =>
      [undefined, null, 7].map((value): [object, string] => [
        { auth: { type: 'token', options: { ...TOKENS, [name]: value } } },
        `token auth requires a valid option string: "${name}"`,
      ]),
    ),
    [
      { auth: { type: 'token', options: { Realm: 'x', issuer: 7 } } },
      'token auth requires a valid option string: "realm"',
    ],
    [
      { auth: { type: 'token', options: { ...TOKENS, autoredirect: 'true' } } },
      'token auth requires a valid option bool: autoredirect',
    ],
    [
      { auth: { type: 'token', options: TOKENS } },
      'unable to open token auth root certificate bundle file "none.crt": open none.crt: no such file or directory',
    ],
    [{ reporting: { bugsnag: { endpoint: 'x' } } }, 'must provide an API key for bugsnag'],
    [{ limits: { upload_bytes: 0 } }, 'limits.upload_bytes'],
    [{ limits: { request_seconds: 'x' } }, 'limits.request_seconds'],
    [{ guard: { thresholds: 'some' } }, 'guard.thresholds must be "root" or "all"'],
    [{ guard: { version_jump: 0 } }, 'guard.version_jump must be at least 1'],
    [{ renewal: { life_left_percent: 76 } }, 'renewal.life_left_percent must be at most 75'],
    [{ production: 'maybe' }, 'production must be true or false'],
  ])('of %j', (settings, message) => {
    expect(() => read(settings)).toThrow(ConfigError);
    expect(() => read(settings)).toThrow(message);
  });

  test('of a bundle without certificates says so', () => {
    const options = { ...TOKENS, rootcertbundle: join(folder, 'empty.crt') };

    expect(() => read({ auth: { type: 'token', options } })).toThrow(
      'token auth requires at least one token signing root certificate',
    );
  });

  test('of options in a variable names it', () => {
    const settings = { auth: { type: 'token', options: TOKENS } };

    expect(() => read(settings, { NOTARY_SERVER_AUTH_OPTIONS: 'realm:x' })).toThrow(
      'auth.options must be a map[string]interface{}: NOTARY_SERVER_AUTH_OPTIONS cannot replace it',
    );
  });

  test.each(['Token', ['token'], true])(
    'is not made for auth.type %j, but a warning is',
    (type) => {
      const { auth, warnings } = read({ auth: { type } });

      expect(auth).toBeUndefined();
      expect(warnings).toEqual(['auth.type is not "token": clients are not asked for tokens']);
    },
  );

  test('names the first mistake in the order of the old server', () => {
    const mistakes: [object, string][] = [
      [{ logging: { level: 'loud' } }, 'not a valid logrus Level'],
      [{ repositories: { gun_prefixes: 'x' } }, 'invalid GUN prefix x'],
      [{ reporting: { bugsnag: { endpoint: 'x' } } }, 'must provide an API key for bugsnag'],
      [{ trust_service: {} }, 'must specify either a "local" or "remote"'],
      [{ storage: {} }, 'is not a supported storage backend'],
      [{ caching: { max_age: { current_metadata: -1 } } }, 'must specify a cache-control max-age'],
      [{ server: { client_ca_file: 'x' } }, 'http listen address required for server'],
      [certificate({ client_ca_file: 'x' }), 'either include both a cert and key file'],
      [{ auth: { type: 'token' } }, 'auth.options must be a map'],
    ];

    for (const [index, [, message]] of mistakes.entries()) {
      const settings = Object.assign(
        {},
        ...mistakes
          .slice(index)
          .toReversed()
          .map(([part]) => part),
      );
      expect(() => read(settings)).toThrow(message);
    }
  });
});

describe('proxies that are believed', () => {
  test('are read from one text', () => {
    const { audit } = read({ audit: { remote_address: true, trusted_proxies: '10.0.0.0/8 ::1' } });

    expect(audit.remoteAddress).toBe(true);
    expect(audit.trustedProxies.check('10.1.2.3')).toBe(true);
    expect(audit.trustedProxies.check('192.0.2.1')).toBe(false);
  });

  test('are refused where one of them is a name', () => {
    expect(() => read({ audit: { trusted_proxies: ['::1', 'proxy.internal'] } })).toThrow(
      'audit.trusted_proxies: proxy.internal is no address and no network',
    );
  });
});
