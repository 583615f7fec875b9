import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { migrate } from '@scrivener/runtime';
import { Client } from 'pg';

const MIGRATIONS = fileURLToPath(new URL('../../../../migrations/signer', import.meta.url));

export interface TestDatabase {
  readonly url: string;
  /** The rows of a statement, asked over a connection of its own. */
  query(sql: string): Promise<unknown[]>;
  drop(): Promise<void>;
}

/** A signer database of a test's own, with its tables, on the server of `DATABASE_URL`. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = process.env['DATABASE_URL'];
  if (server === undefined) throw new Error('DATABASE_URL is not set: run these through npm test');
  const name = `signer_${randomUUID().replaceAll('-', '')}`;
  await run(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  await migrate(url.href, MIGRATIONS);
  return {
    url: url.href,
    query: (sql) => run(url.href, sql),
    drop: async () => {
      await run(server, `drop database ${name} with (force)`);
    },
  };
}

async function run(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}
