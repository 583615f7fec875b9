import { mkdtempSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitForDatabase } from './database.ts';
import { migrate } from './migrate.ts';

const server = process.env['DATABASE_URL'] ?? '';
const admin = new Client(server);
const databases: string[] = [];

const freshDatabase = async (): Promise<string> => {
  const name = `migrate_${randomUUID().replaceAll('-', '')}`;
  await admin.query(`create database ${name}`);
  databases.push(name);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
};

const folder = (files: Record<string, string>): string => {
  const directory = mkdtempSync(join(tmpdir(), 'migrations-'));
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(directory, name), sql);
  return directory;
};

const rows = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

beforeAll(() => admin.connect());
afterAll(async () => {
  for (const name of databases) await admin.query(`drop database ${name} with (force)`);
  await admin.end();
});

describe('migrate', () => {
  test('runs every file once, in the order of its number', async () => {
    const url = await freshDatabase();
    const directory = folder({
      '002_fill.sql': `insert into things values ('?'), (':a');`,
      '001_things.sql': 'create table things (name text); -- two\ncreate index on things (name);',
    });
    const lines: string[] = [];

    await migrate(url, directory, (line) => lines.push(line));
    await migrate(url, directory, (line) => lines.push(line));

    expect(lines).toEqual(['migrated 001_things.sql', 'migrated 002_fill.sql']);
    expect(await rows(url, 'select name from things order by 1')).toEqual([
      { name: ':a' },
      { name: '?' },
    ]);
  });

  test('lets eight start at once', async () => {
    const url = await freshDatabase();
    const directory = folder({ '001_things.sql': 'create table things (name text)' });

    await Promise.all(Array.from({ length: 8 }, () => migrate(url, directory)));

    expect(await rows(url, 'select name from schema_migrations')).toHaveLength(1);
  });

  test('leaves nothing of a file that fails, keeps those before it and says what is wrong', async () => {
    const url = await freshDatabase();
    const directory = folder({
      '001_good.sql': 'create table good (name text)',
      '002_bad.sql': 'create table bad (name text); create table good (name text);',
    });

    await expect(migrate(url, directory)).rejects.toThrow(
      '002_bad.sql: relation "good" already exists',
    );

    const tables = "select table_name from information_schema.tables where table_schema = 'public'";
    expect(await rows(url, `${tables} order by 1`)).toEqual([
      { table_name: 'good' },
      { table_name: 'schema_migrations' },
    ]);
  });

  test.each([
    [{}, 'no migrations in'],
    [{ 'x.sql': '' }, 'x.sql: a migration is called like 001_event_log.sql'],
    [{ '001_a.sql': '', '001_b.sql': '' }, '001_a.sql and 001_b.sql have the same number'],
  ])('refuses a folder with %j', async (files, message) => {
    await expect(migrate(server, folder(files))).rejects.toThrow(message);
  });

  test('says that the database does not exist', async () => {
    const url = new URL(server);
    url.pathname = '/nowhere';

    await expect(migrate(url.href, folder({ '001_a.sql': 'select 1' }))).rejects.toThrow(
      'cannot migrate: database "nowhere" does not exist',
    );
  });
});

describe('waitForDatabase', () => {
  test('resolves when the database answers', async () => {
    await expect(waitForDatabase(server)).resolves.toBeUndefined();
  });

  test('goes on asking, says why once, and gives up when told to', async () => {
    const reasons: string[] = [];
    const waiting = waitForDatabase('postgres://nobody@127.0.0.1:1/none', {
      signal: AbortSignal.timeout(700),
      onWaiting: (reason) => reasons.push(reason),
    });

    await expect(waiting).rejects.toThrow('aborted');
    expect(reasons).toEqual(['connect ECONNREFUSED 127.0.0.1:1']);
  });
});
