import { describe, expect, test } from 'vitest';
import { newDatabaseUsers, parseDatabaseUsers, urlFor } from './database-users.ts';

describe('parseDatabaseUsers', () => {
  test('reads a line for each user, and nothing from blanks and comments', () => {
    const text = '# who may log in\n\nnotary_server api s3cret\n  notary_signer\tsigner p\n';

    expect(parseDatabaseUsers(text)).toEqual([
      { role: 'notary_server', name: 'api', password: 's3cret' },
      { role: 'notary_signer', name: 'signer', password: 'p' },
    ]);
  });

  test.each(['postgres api s3cret', 'notary_server api', 'notary_server api s3cret more'])(
    'refuses "%s" and does not show it',
    (line) => {
      const read = () => parseDatabaseUsers(`# first\n${line}`);

      expect(read).toThrow(
        /^line 2 is not ROLE USER PASSWORD with one of the roles notary_server,/,
      );
      expect(read).not.toThrow('s3cret');
    },
  );

  test('reads what newDatabaseUsers makes: a user for each role, passwords of 32 characters', () => {
    const users = parseDatabaseUsers(newDatabaseUsers('_one'));

    expect(users.map(({ role, name }) => `${role} ${name}`)).toEqual([
      'notary_server api_one',
      'notary_projector projector_one',
      'notary_signer signer_one',
    ]);
    expect(new Set(users.map(({ password }) => password)).size).toBe(3);
    expect(users.every(({ password }) => /^[\w-]{32}$/.test(password))).toBe(true);
  });
});

test('urlFor keeps the server, the database and what is said about TLS', () => {
  const url = 'postgres://owner:old@db:5433/notaryserver?sslmode=verify-full';

  expect(urlFor(url, { role: 'notary_server', name: 'a@b', password: 'p/:?' })).toBe(
    'postgres://a%40b:p%2F%3A%3F@db:5433/notaryserver?sslmode=verify-full',
  );
});
