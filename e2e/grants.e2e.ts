// What each program may do in its database, and what it may not: the adapters of the programs pass
// their suites under the logins of run time, and everything else is refused by PostgreSQL.

import { randomBytes } from 'node:crypto';
import { postgresEventStore } from '@scrivener/events/postgres';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import type { EventStore } from '@scrivener/events';
import type { ReadModel } from '@scrivener/read-model';
import { keyStoreContract } from '@scrivener/signing/testing';
import { Client, type DatabaseError } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fsck } from '../apps/projector/src/fsck/fsck.ts';
import { PostgresKeyStore } from '../apps/signer-worker/src/postgres/key-store.ts';
import { createSealer } from '../apps/signer-worker/src/seal.ts';
import { eventStoreContract } from '../libs/events/src/event-store.contract.ts';
import { expiriesContract } from '../libs/read-model/src/expiries.contract.ts';
import { readModelContract } from '../libs/read-model/src/read-model.contract.ts';
import {
  newDatabaseUsers,
  parseDatabaseUsers,
  urlFor,
  type DatabaseRole,
} from '../scripts/database-users.ts';
import { migrateDatabases } from '../scripts/migrate.ts';

const name = randomBytes(4).toString('hex');
const users = parseDatabaseUsers(newDatabaseUsers(`_${name}`));
const owners = { server: urlOf(`grants_server_${name}`), signer: urlOf(`grants_signer_${name}`) };

/** The superuser's URL of that database. */
function urlOf(database: string): string {
  if (process.env['DATABASE_URL'] === undefined) throw new Error('run this by npm test');
  const url = new URL(process.env['DATABASE_URL']);
  url.pathname = `/${database}`;
  return url.href;
}

function loginOf(wanted: DatabaseRole): string {
  const user = users.find(({ role }) => role === wanted);
  if (user === undefined) throw new Error(`no user for ${wanted}`);
  return urlFor(wanted === 'notary_signer' ? owners.signer : owners.server, user);
}

async function query<Row>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Row[];
  } finally {
    await client.end();
  }
}

beforeAll(() => migrateDatabases(owners, users));
afterAll(async () => {
  const server = urlOf('postgres');
  await query(server, `drop database grants_server_${name} with (force)`);
  await query(server, `drop database grants_signer_${name} with (force)`);
  for (const user of users) await query(server, `drop role ${user.name}`);
});

/** As it was after the migrations. */
async function emptyServerDatabase(): Promise<void> {
  const tables = await query<{ name: string }>(
    owners.server,
    `select quote_ident(tablename) as name from pg_tables where schemaname = 'public'
     and tablename not in ('log_head', 'projections', 'serving', 'schema_migrations')`,
  );
  await query(owners.server, `truncate ${tables.map(({ name }) => name).join(', ')}`);
  await query(owners.server, 'update log_head set position = 0');
  await query(owners.server, 'update projections set position = 0');
}

describe('as the API logs in, the log works', () => {
  eventStoreContract(async () => ({
    open: () => postgresEventStore(loginOf('notary_server'), { poolSize: 4 }),
    remove: emptyServerDatabase,
  }));
});

describe('as the projector logs in, the read model works, its replay among it', () => {
  let events: EventStore;
  beforeAll(async () => {
    events = await postgresEventStore(loginOf('notary_server'));
  });
  afterAll(() => events.close());
  readModelContract(async () => ({
    events,
    open: () => postgresReadModel(loginOf('notary_projector'), { poolSize: 4 }),
    remove: emptyServerDatabase,
  }));
});

test('as the projector logs in, fsck reads all that it looks at', async () => {
  const url = loginOf('notary_projector');

  expect((await fsck({ url, threads: 1, expected: [] })).findings).toEqual([]);
});

describe('as the API logs in, the read model works, and renewals; a replay is left to the projector', () => {
  let events: EventStore;
  beforeAll(async () => {
    events = await postgresEventStore(loginOf('notary_server'));
  });
  afterAll(() => events.close());
  const make = async () => ({ events, open: openAsApi, remove: emptyServerDatabase });
  readModelContract(make);
  expiriesContract(make);

  test('which it may not do itself', async () => {
    const readModel = await postgresReadModel(loginOf('notary_server'));

    await expect(readModel.replay()).rejects.toThrow('permission denied for table serving');
    await readModel.close();
  });
});

async function openAsApi(): Promise<ReadModel> {
  const readModel = await postgresReadModel(loginOf('notary_server'), { poolSize: 4 });
  return {
    ...readModel,
    async replay() {
      const projector = await postgresReadModel(loginOf('notary_projector'), { poolSize: 1 });
      await projector.replay();
      await projector.close();
    },
  };
}

describe('as a worker logs in, its keys work', () => {
  keyStoreContract(
    async () =>
      new PostgresKeyStore({
        databaseUrl: loginOf('notary_signer'),
        sealer: createSealer({ NOTARY_SIGNER_TS: 'a test passphrase' }, 'ts'),
      }),
  );
});

const DENIED: Readonly<Record<DatabaseRole, readonly string[]>> = {
  notary_server: [
    'update events set version = version',
    "update events set data = '{}'",
    'delete from events',
    'truncate events',
    'update files set bytes = bytes',
    'delete from files',
    'truncate files',
    'select * from events for update',
    'update log_head set only_row = true',
    'insert into log_head (position) values (1)',
    'delete from log_head',
    'truncate log_head',
    'update changefeed set id = id',
    'delete from changefeed',
    'truncate metafiles',
    'delete from changefeed_b',
    'update projections set live = not live',
    "update serving set slot = 'b'",
    "insert into projections (name, position) values ('mine', 0)",
    "update projections set name = 'mine'",
    'delete from projections',
    'select * from schema_migrations',
    'delete from schema_migrations',
  ],
  notary_projector: [
    'insert into events select * from events',
    'update events set version = version',
    'delete from events',
    'truncate events',
    "insert into files (sha256, bytes) values (sha256(''), '')",
    'update files set bytes = bytes',
    'delete from files',
    'truncate files',
    'update log_head set position = 0',
    'delete from log_head',
    'truncate metafiles',
    'truncate changefeed',
    'truncate metafiles_b',
    'delete from serving',
    "insert into projections (name, position) values ('mine', 0)",
    'delete from projections',
    'select * from schema_migrations',
  ],
  notary_signer: [
    "update private_keys set private = ''",
    'update private_keys set gun = gun',
    'update pending_keys set key_id = key_id',
    'select * from private_keys for update',
    'truncate pending_keys',
    'truncate private_keys cascade',
    'select * from schema_migrations',
  ],
};

/** Nobody at run time. */
const DENIED_TO_ALL = [
  'create table mine (n integer)',
  'create temporary table mine (n integer)',
  'create schema mine',
  'create function mine() returns integer language sql as $$ select 1 $$',
  'create role mine',
  'create database mine',
  'alter database postgres set search_path = mine',
  'set role postgres',
  "select pg_read_file('/etc/passwd')",
  "copy (select 1) to program 'cat'",
  'select * from pg_authid',
  'set session_replication_role = replica',
];

const OWNED = {
  server: ['events', 'files', 'log_head', 'projections', 'serving', 'metafiles', 'changefeed_b'],
  signer: ['private_keys', 'pending_keys'],
} as const;

const refusals = (Object.keys(DENIED) as DatabaseRole[]).flatMap((role) => {
  const tables = OWNED[role === 'notary_signer' ? 'signer' : 'server'];
  const changes = tables.flatMap((table) => [
    `drop table ${table} cascade`,
    `alter table ${table} add column mine text`,
    `alter table ${table} disable trigger all`,
    `alter table ${table} owner to current_user`,
    `create index on ${table} ((1))`,
  ]);
  return [...DENIED[role], ...DENIED_TO_ALL, ...changes].map((sql) => ({ role, sql }));
});

describe('everything else is denied', () => {
  const clients = new Map<DatabaseRole, Client>();
  beforeAll(async () => {
    for (const { role } of users) {
      const client = new Client({ connectionString: loginOf(role) });
      await client.connect();
      clients.set(role, client);
    }
  });
  afterAll(async () => {
    for (const client of clients.values()) await client.end();
  });

  test.each(refusals)('$role: $sql', async ({ role, sql }) => {
    const error = await clients
      .get(role)
      ?.query(sql)
      .then(
        () => undefined,
        (error: DatabaseError) => error,
      );

    expect(error?.message).toMatch(/permission denied|must be (?:owner|member|superuser)/);
    expect(error?.code).toBe('42501'); // insufficient_privilege
  });

  test.each([
    ['notary_signer', owners.server],
    ['notary_server', owners.signer],
    ['notary_projector', owners.signer],
  ] as const)('%s does not get into the other database', async (role, database) => {
    const other = new URL(loginOf(role));
    other.pathname = new URL(database).pathname;

    await expect(query(other.href, 'select 1')).rejects.toMatchObject({ code: '42501' });
  });
});

// Also of tables that are not there yet: whoever adds one grants what is needed, and not these.
test('nobody has a right that no program needs', async () => {
  for (const [role, url] of [
    ['notary_server', owners.server],
    ['notary_projector', owners.server],
    ['notary_signer', owners.signer],
  ] as const) {
    const granted = await query<{ granted: string }>(
      url,
      `select table_name || ' ' || privilege_type as granted
       from information_schema.role_table_grants where grantee in ('${role}', 'PUBLIC')
       and table_schema = 'public'
       and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')`,
    );
    expect(granted).toEqual([]);
  }
});
