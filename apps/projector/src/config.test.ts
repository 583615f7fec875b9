import { describe, expect, test } from 'vitest';
import { readProjectorConfig } from './config.ts';

const url = 'postgres://server@db/notaryserver';

describe('readProjectorConfig', () => {
  test('reads the database of the server from its variables', () => {
    expect(readProjectorConfig(undefined, { NOTARY_SERVER_STORAGE_DB_URL: url })).toEqual({
      undeleteMs: 30 * 86_400_000,
      databaseUrl: url,
      logLevel: 'error',
      metricsAddress: undefined,
      fsckEvery: undefined,
      production: false,
    });
  });

  test('runs fsck once in so many hours where it is asked to', () => {
    const environment = {
      NOTARY_SERVER_STORAGE_DB_URL: url,
      NOTARY_SERVER_FSCK_EVERY_HOURS: '24',
    };

    expect(readProjectorConfig(undefined, environment).fsckEvery).toBe(86_400_000);
  });

  test.each([
    [{}, 'must provide a non-empty database source for postgres'],
    [
      { NOTARY_SERVER_STORAGE_BACKEND: 'memory' },
      'storage in memory is projected by the API process that holds it',
    ],
    [
      { NOTARY_SERVER_STORAGE_BACKEND: 'mysql' },
      'mysql is not a supported storage backend, use "postgres"',
    ],
    [
      { NOTARY_SERVER_STORAGE_DB_URL: url, NOTARY_SERVER_PRODUCTION: '1' },
      'production: storage.db_url must say sslmode=verify-full',
    ],
    [{ NOTARY_SERVER_LOGGING_LEVEL: 'loud' }, 'not a valid logrus Level: "loud"'],
  ])('refuses %j', (environment, message) => {
    expect(() => readProjectorConfig(undefined, environment)).toThrow(message);
  });
});
