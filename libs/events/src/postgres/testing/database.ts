import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';

/** A database of its own for a test, with the tables of `migrations/server`. */
export interface TestDatabase {
  readonly url: string;
  query<Row>(sql: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** Makes it in the Postgres that `DATABASE_URL` names. */
export async function testDatabase(): Promise<TestDatabase> {
  const server = process.env['DATABASE_URL'];
  if (server === undefined) throw new Error('integration tests need DATABASE_URL');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await once(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const client = new Client({ connectionString: url.href, application_name: 'test' });
  client.on('error', () => {}); // the query that runs into it reports it
  await client.connect();
  for (const sql of await migrations()) await client.query(sql);
  return {
    url: url.href,
    query: async (sql, values) => (await client.query(sql, values)).rows,
    async drop() {
      await client.end();
      await once(server, `drop database ${name} with (force)`);
    },
  };
}

async function migrations(): Promise<string[]> {
  const folder = join(import.meta.dirname, '../../../../../migrations/server');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}

async function once(url: string, sql: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  await client.query(sql);
  await client.end();
}
