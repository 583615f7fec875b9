import { describe, expect, test } from 'vitest';
import { ConfigError } from './config-error.ts';
import { parseDatabaseUrl } from './database-url.ts';

describe('parseDatabaseUrl', () => {
  test.each([
    'postgres://server@postgresql:5432/notaryserver?sslmode=disable',
    'postgresql://server:p%40ss@db/notaryserver?sslmode=verify-full',
  ])('leaves %s as it is', (url) => {
    expect(parseDatabaseUrl(url)).toBe(url);
  });

  test.each([
    ['host=db user=server dbname=notary', 'postgres://server@db/notary'],
    [
      "host=db port=5433 user=server password='p@ss \\'w' dbname=notary sslmode=verify-full",
      "postgres://server:p%40ss%20'w@db:5433/notary?sslmode=verify-full",
    ],
    ['dbname=notary', 'postgres://localhost/notary'],
    ['user = server  host= db', 'postgres://server@db/'],
  ])('turns the list "%s" into a URL', (list, url) => {
    expect(parseDatabaseUrl(list)).toBe(url);
  });

  test.each(['require', 'prefer', 'verify-ca'])('takes sslmode %s for verify-full', (mode) => {
    expect(parseDatabaseUrl(`postgres://a@db/x?sslmode=${mode}&y=1`)).toBe(
      'postgres://a@db/x?sslmode=verify-full&y=1',
    );
    expect(parseDatabaseUrl(`host=db sslmode=${mode}`)).toMatch(/sslmode=verify-full$/);
  });

  test.each([
    ['', 'must provide a non-empty database source for postgres'],
    [
      'server:hunter2@tcp(db:3306)/notary',
      'error starting postgres driver: storage.db_url is neither',
    ],
    [
      'mysql://server:hunter2@db/notary',
      'error starting postgres driver: storage.db_url is neither',
    ],
    ["password='hunter2", 'error starting postgres driver: storage.db_url is neither'],
    ['postgres://server:hunter2@db:port/notary', 'error starting postgres driver: '],
    [
      'postgres://server:hunter2@db/notary?sslmode=verify-full&sslrootcert=/nowhere/ca.crt',
      'error starting postgres driver: open /nowhere/ca.crt: no such file or directory',
    ],
  ])('refuses "%s" without showing its password', (given, message) => {
    const refusal = catchError(() => parseDatabaseUrl(given));

    expect(refusal).toBeInstanceOf(ConfigError);
    expect(refusal?.message).toContain(message);
    expect(refusal?.message).not.toContain('hunter2');
  });
});

function catchError(run: () => unknown): Error | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : undefined;
  }
}
