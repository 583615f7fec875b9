import { describe, expect, test } from 'vitest';
import { commandLine, UsageError } from './command.ts';
import { readProjectorConfig } from './config.ts';

const url = 'postgres://server@db/notaryserver';

describe('readProjectorConfig', () => {
  test('reads the database of the server from its variables', () => {
    expect(readProjectorConfig(undefined, { NOTARY_SERVER_STORAGE_DB_URL: url })).toEqual({
      databaseUrl: url,
      logLevel: 'error',
    });
  });

  test.each([
    [{}, 'must provide a non-empty database source for postgres'],
    [
      { NOTARY_SERVER_STORAGE_BACKEND: 'memory' },
      'storage in memory is projected by the API process that holds it',
    ],
    [
      { NOTARY_SERVER_STORAGE_BACKEND: 'mysql' },
      'mysql is not a supported storage backend, use postgres',
    ],
  ])('refuses %j', (environment, message) => {
    expect(() => readProjectorConfig(undefined, environment)).toThrow(message);
  });
});

describe('commandLine', () => {
  const environment = { NOTARY_SERVER_STORAGE_DB_URL: url };

  test('takes words that are no options', () => {
    expect(commandLine(['docker.io/library/alpine'], environment).words).toEqual([
      'docker.io/library/alpine',
    ]);
  });

  test.each([['-config=nowhere.json'], ['--config=nowhere.json'], ['-config', 'nowhere.json']])(
    'reads the file that %j names',
    (...args) => {
      expect(() => commandLine(args, environment)).toThrow(
        'cannot read the configuration file nowhere.json',
      );
    },
  );

  test('refuses an option that it does not know', () => {
    expect(() => commandLine(['--fast'], environment)).toThrow(UsageError);
  });
});
