import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureCertificates } from '../../../fixtures/certificates.ts';
import { refuseDevelopment, type ProductionFacts } from './production.ts';
import type { RedisSettings } from './redis-settings.ts';

/** A CA of somebody's own, made with openssl: what production believes. */
const OWN_CA = `-----BEGIN CERTIFICATE-----
MIIBgzCCASmgAwIBAgIUfh3pfUSv3RaAE251NmafjMF3GgUwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLSW50ZXJuYWwgQ0EwIBcNMjYxMTI1MDMzNTEwWhgPMjEyNjEx
MDEwMzM1MTBaMBYxFDASBgNVBAMMC0ludGVybmFsIENBMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE1r1xH4hvK6rnWysxK+btyQ0MN6BhMuYT2FFw6pMuTrDIhYRz
2wrSiv5P5SS6tLW4WzH5IFnNJVnZZcGAs2vYdqNTMFEwHQYDVR0OBBYEFKEGskyT
Td6FlTXzsfmJSDYAgNaCMB8GA1UdIwQYMBaAFKEGskyTTd6FlTXzsfmJSDYAgNaC
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgPeMb8XuylXZ75dnQ
DcYKi9LNjZPAtiHprIxORTCMmKECIQDLpcRdLJK5ZIQt7WKj/bMVQn7RFqTEBrBl
brcmQDw8jg==
-----END CERTIFICATE-----
`;
const OWN = { cert: OWN_CA, key: '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n' };

let folder: string;
const development = { ca: '', cert: '', key: '' };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'production-'));
  await ensureCertificates(new Date(), folder);
  const read = (file: string) => readFileSync(join(folder, file), 'utf8');
  development.ca = read('root-ca.crt');
  development.cert = read('notary-server.crt');
  development.key = read('notary-server.key');
  writeFileSync(join(folder, 'own-ca.crt'), OWN_CA);
});
afterAll(() => rmSync(folder, { recursive: true }));

const redis: RedisSettings = {
  mode: 'single',
  hostname: 'redis.internal',
  port: 6379,
  nodes: [],
  master: undefined,
  username: undefined,
  password: undefined,
  tls: { ca: OWN_CA, ...OWN },
};

function database(login: string, parameters: Readonly<Record<string, string>> = {}) {
  const url = new URL(`postgres://${login}@db.internal/notaryserver`);
  const ca = join(folder, 'own-ca.crt');
  url.search = String(
    new URLSearchParams({ sslmode: 'verify-full', sslrootcert: ca, ...parameters }),
  );
  return { backend: 'postgres', databaseUrl: url.href } as const;
}

/** A service as it should be. */
function facts(changes: Partial<ProductionFacts> = {}): ProductionFacts {
  return {
    environment: {},
    serves: [{ name: 'server.http_addr', tls: { ...OWN, clientCa: OWN_CA } }],
    trustService: 'queue',
    storage: database('api:k2Hs9xQ1'),
    redis,
    passphrases: { NOTARY_SIGNER_KEY_2026: 'k2Hs9xQ1' },
    ...changes,
  };
}

describe('refuseDevelopment', () => {
  test('has nothing against what was made for production', () => {
    expect(() => refuseDevelopment(facts())).not.toThrow();
    expect(() =>
      refuseDevelopment(facts({ trustService: 'remote', redis: undefined, signer: OWN })),
    ).not.toThrow();
  });

  test('lets a certificate stand for a password, and PGPASSWORD', () => {
    const cert = join(folder, 'own-ca.crt');

    expect(() =>
      refuseDevelopment(facts({ storage: database('api', { sslcert: cert }) })),
    ).not.toThrow();
    expect(() =>
      refuseDevelopment(facts({ storage: database('api'), environment: { PGPASSWORD: 'k2Hs9x' } })),
    ).not.toThrow();
  });

  test.each<[string, () => Partial<ProductionFacts>, string]>([
    [
      'TLS that believes everybody',
      () => ({ environment: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }),
      'NODE_TLS_REJECT_UNAUTHORIZED=0 makes every TLS connection believe everybody: unset it',
    ],
    [
      'plain HTTP',
      () => ({ serves: [{ name: 'server.http_addr', tls: undefined }] }),
      'server.http_addr would be plain text: set server.tls_cert_file and server.tls_key_file',
    ],
    [
      'a certificate of the development CA',
      () => ({ serves: [{ name: 'server.http_addr', tls: { ...OWN, cert: development.cert } }] }),
      'the certificate of server.http_addr is meant for development: make one of your own (docs/production.md)',
    ],
    [
      'a chain with such a certificate in it',
      () => ({
        serves: [{ name: 'server.grpc_addr', tls: { ...OWN, cert: OWN_CA + development.ca } }],
      }),
      'the certificate of server.grpc_addr is meant for development',
    ],
    [
      'a key out of fixtures/',
      () => ({ serves: [{ name: 'server.http_addr', tls: { ...OWN, key: development.key } }] }),
      'the key of server.http_addr is meant for development',
    ],
    [
      'clients of the development CA',
      () => ({ serves: [{ name: 'x', tls: { ...OWN, clientCa: development.ca } }] }),
      'server.client_ca_file is meant for development',
    ],
    [
      'keys in this process',
      () => ({ trustService: 'local' }),
      'trust_service.type "local" loses its keys when the process ends: use "queue" or "remote"',
    ],
    [
      'storage in memory',
      () => ({ storage: { backend: 'memory' } }),
      'storage.backend "memory" is gone when the process ends: use "postgres"',
    ],
    ...['disable', 'prefer', 'require', 'verify-ca', 'no-verify'].map(
      (sslmode): [string, () => Partial<ProductionFacts>, string] => [
        `a database with sslmode=${sslmode}`,
        () => ({
          storage: {
            backend: 'postgres',
            databaseUrl: `postgres://api:k2Hs9x@db/n?sslrootcert=${folder}/own-ca.crt&sslmode=${sslmode}&uselibpqcompat=true`,
          },
        }),
        'storage.db_url must say sslmode=verify-full, or who answers could be anybody',
      ],
    ),
    [
      'a database without TLS',
      () => ({ storage: { backend: 'postgres', databaseUrl: 'postgres://api:k2Hs9x@db/n' } }),
      'storage.db_url must say sslmode=verify-full, or who answers could be anybody',
    ],
    [
      'a database that takes TLS back',
      () => ({
        storage: {
          backend: 'postgres',
          databaseUrl: 'postgres://api:k2Hs9x@db/n?sslmode=verify-full&sslmode=disable',
        },
      }),
      'storage.db_url must say sslmode=verify-full',
    ],
    [
      'a database of the development CA',
      () => ({ storage: database('api:k2Hs9x', { sslrootcert: join(folder, 'root-ca.crt') }) }),
      'the sslrootcert of storage.db_url is meant for development',
    ],
    [
      'a development key for the database',
      () => ({
        storage: database('api', {
          sslcert: join(folder, 'own-ca.crt'),
          sslkey: join(folder, 'notary-server.key'),
        }),
      }),
      'the sslkey of storage.db_url is meant for development',
    ],
    [
      'a database without a password',
      () => ({ storage: database('api') }),
      'the password of storage.db_url is empty',
    ],
    ...['postgres', 'Development', 'myuser'].map(
      (password): [string, () => Partial<ProductionFacts>, string] => [
        `the password "${password}" of myuser`,
        () => ({ storage: database(`myuser:${password}`) }),
        'the password of storage.db_url is one that everybody knows',
      ],
    ),
    [
      'a queue without TLS',
      () => ({ redis: { ...redis, tls: undefined } }),
      'the queue would be plain text: set tls_ca_file, and tls_client_cert with its key',
    ],
    [
      'a queue of the development CA',
      () => ({ redis: { ...redis, tls: { ca: development.ca } } }),
      'the tls_ca_file of the queue is meant for development',
    ],
    [
      'a password of Redis out of its example',
      () => ({ redis: { ...redis, password: 'foobared' } }),
      'the password of the queue is one that everybody knows',
    ],
    [
      'a development key for a signer',
      () => ({ redis: undefined, signer: { ...OWN, key: development.key } }),
      'the tls_client_key of the trust service is meant for development',
    ],
    [
      'the passphrase of the old example',
      () => ({ passphrases: { NOTARY_SIGNER_TIMESTAMP_1: 'testpassword' } }),
      'the password of NOTARY_SIGNER_TIMESTAMP_1 is one that everybody knows',
    ],
    [
      'no passphrase',
      () => ({ passphrases: { NOTARY_SIGNER_TIMESTAMP_1: '' } }),
      'the password of NOTARY_SIGNER_TIMESTAMP_1 is empty',
    ],
  ])('refuses %s', (_, changes, message) => {
    expect(() => refuseDevelopment(facts(changes()))).toThrow(`production: ${message}`);
  });
});
