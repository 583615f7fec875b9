import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@scrivener/runtime';
import { describe, expect, test } from 'vitest';
import { readWorkerConfig } from './config.ts';

const postgres = {
  backend: 'postgres',
  db_url: 'postgres://signer@db/signer',
  default_alias: 'ts1',
};

function read(settings: object, environment: Record<string, string> = {}) {
  const file = join(mkdtempSync(join(tmpdir(), 'signer-')), 'signer.json');
  writeFileSync(file, JSON.stringify(settings));
  return readWorkerConfig(file, environment);
}

describe('readWorkerConfig', () => {
  test('takes an old configuration file, and fills in what is new', () => {
    const old = {
      server: { grpc_addr: ':7899', tls_cert_file: './notary-signer.crt' },
      logging: { level: 'WARNING' },
      storage: postgres,
    };

    expect(read(old)).toEqual({
      storage: { backend: 'postgres', databaseUrl: postgres.db_url, defaultAlias: 'ts1' },
      queue: { hostname: '127.0.0.1', port: 6379 },
      concurrency: 16,
      logLevel: 'warn',
    });
  });

  test('takes everything from the environment', () => {
    const config = readWorkerConfig(undefined, {
      NOTARY_SIGNER_STORAGE_BACKEND: 'postgres',
      NOTARY_SIGNER_STORAGE_DB_URL: postgres.db_url,
      NOTARY_SIGNER_DEFAULT_ALIAS: 'ts2',
      NOTARY_SIGNER_QUEUE_HOSTNAME: 'redis',
      NOTARY_SIGNER_QUEUE_PORT: '6380',
      NOTARY_SIGNER_CONCURRENCY: '4',
    });

    expect(config).toMatchObject({
      storage: { defaultAlias: 'ts2' },
      queue: { hostname: 'redis', port: 6380 },
      concurrency: 4,
      logLevel: 'error',
    });
  });

  test('prefers the alias of the file to that of the environment', () => {
    const config = read({ storage: postgres }, { NOTARY_SIGNER_DEFAULT_ALIAS: 'ts2' });

    expect(config.storage).toMatchObject({ defaultAlias: 'ts1' });
  });

  test('needs nothing else for keys in memory', () => {
    expect(read({ storage: { backend: 'memory' } }).storage).toEqual({ backend: 'memory' });
  });

  test.each<[object, string]>([
    [{}, '"" is not an allowed backend, must be one of: postgres, memory'],
    [
      { storage: { ...postgres, backend: 'mysql' } },
      '"mysql" is not an allowed backend, must be one of: postgres',
    ],
    [{ storage: { ...postgres, backend: 'rethinkdb' } }, '"rethinkdb" is not an allowed backend'],
    [{ storage: { ...postgres, backend: 'sqlite3' } }, '"sqlite3" is not an allowed backend'],
    [
      { storage: { ...postgres, default_alias: '' } },
      'must provide a default alias for the key DB',
    ],
    [
      { storage: { ...postgres, db_url: '' } },
      'must provide a non-empty database source for postgres',
    ],
    [{ storage: postgres, queue: { port: 'x' } }, 'queue.port'],
    [{ storage: postgres, queue: { port: 65536 } }, 'queue.port'],
    [{ storage: postgres, concurrency: 0 }, 'concurrency'],
    [{ storage: postgres, logging: { level: 'loud' } }, 'logging.level'],
  ])('refuses %j', (settings, message) => {
    expect(() => read(settings)).toThrow(ConfigError);
    expect(() => read(settings)).toThrow(message);
  });
});
