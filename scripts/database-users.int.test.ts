import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DatabaseUser, urlFor } from './database-users.ts';
import { migrateDatabases } from './migrate.ts';
import { startPostgres, type Postgres } from './postgres.ts';

// On a server of its own, for roles belong to the whole server.

let folder: string;
let postgres: Postgres;
/** Who migrates: no superuser, as on a managed PostgreSQL. */
const OWNER = 'owner';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'scrivener-users-'));
  chmodSync(folder, 0o755); // as root, the server runs as somebody else
  postgres = await startPostgres({
    directory: join(folder, 'data'),
    log: join(folder, 'postgres.log'),
    durable: false,
  });
  await query(postgres.url, `create role ${OWNER} login createdb createrole password 'pass'`);
});

afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

function urlOf(database: string, name = OWNER, password = 'pass'): string {
  const url = new URL(urlFor(postgres.url, { role: 'notary_server', name, password }));
  url.pathname = `/${database}`;
  return url.href;
}

const users: readonly DatabaseUser[] = [
  { role: 'notary_server', name: 'api', password: "it's a password" },
  { role: 'notary_projector', name: 'projector', password: 'p2' },
  { role: 'notary_signer', name: 'signer', password: 'p3' },
];
const urls = () => ({ server: urlOf('notaryserver'), signer: urlOf('notarysigner') });
const whoAmI =
  'select session_user::text as name, ssl from pg_stat_ssl where pid = pg_backend_pid()';

describe('migrateDatabases', () => {
  test('needs no superuser: who may make databases and roles makes all of it, as often as asked', async () => {
    await migrateDatabases(urls(), users);
    await migrateDatabases(urls(), users);

    expect(await query(urlOf('notaryserver', 'api', "it's a password"), whoAmI)).toEqual([
      { name: 'api', ssl: true },
    ]);
    expect(await query(urlOf('notarysigner', 'signer', 'p3'), 'select from private_keys')).toEqual(
      [],
    );
  });

  test('gives a user the password that stands in the file now', async () => {
    await migrateDatabases(urls(), [
      { role: 'notary_projector', name: 'projector', password: 'x' },
    ]);

    expect(await query(urlOf('notaryserver', 'projector', 'x'), whoAmI)).toHaveLength(1);
    await expect(query(urlOf('notaryserver', 'projector', 'p2'), whoAmI)).rejects.toThrow(
      'password authentication failed',
    );
  });

  test.each([
    ['signer', 'p3', 'notaryserver'],
    ['api', "it's a password", 'notarysigner'],
    ['projector', 'x', 'notarysigner'],
  ])('lets %s into no other database', async (name, password, database) => {
    await expect(query(urlOf(database, name, password), whoAmI)).rejects.toThrow(
      `permission denied for database "${database}"`,
    );
  });

  test('tells who may make no roles what has to be made for them', async () => {
    await query(postgres.url, `create role humble login createdb password 'pass'`);
    await query(postgres.url, 'alter role notary_projector rename to somebody_else');

    await expect(migrateDatabases({ server: urlOf('humble', 'humble') }, [])).rejects.toThrow(
      '003_grants.sql: there is no role notary_projector, and humble may not make one: have CREATE ROLE notary_projector run by somebody who may',
    );
    await query(postgres.url, 'alter role somebody_else rename to notary_projector');
    await migrateDatabases({ server: urlOf('humble', 'humble') }, []);
  });

  test('leaves no password in the log of the server', async () => {
    await query(postgres.url, `alter system set log_statement = 'all'`);
    await query(postgres.url, 'select pg_reload_conf()');
    await expect
      .poll(() => query(postgres.url, 'show log_statement'))
      .toEqual([{ log_statement: 'all' }]);

    await migrateDatabases(urls(), [{ role: 'notary_signer', name: 'signer', password: 'Geh3im' }]);

    const log = readFileSync(join(folder, 'postgres.log'), 'utf8');
    expect(log).toContain('alter role "signer" login password');
    expect(log).not.toContain('Geh3im');
  });
});

/** The superuser's URL with these parameters only. */
function changed(parameters: Readonly<Record<string, string>>): string {
  const url = new URL(postgres.url);
  url.search = new URLSearchParams(parameters).toString();
  return url.href;
}

describe('the server of the local stack', () => {
  test('speaks with nobody in plain text', async () => {
    await expect(query(changed({ sslmode: 'disable' }), whoAmI)).rejects.toThrow('no encryption');
  });

  test('is refused by who does not know its CA', async () => {
    await expect(query(changed({ sslmode: 'verify-full' }), whoAmI)).rejects.toThrow(
      'unable to verify the first certificate',
    );
  });
});
