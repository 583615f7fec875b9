import type { RecordedEvent } from '@scrivener/events';
import { Client } from 'pg';
import { ReadModelError } from '../errors.ts';
import { writeBatch } from './project.ts';
import { TABLES } from './slots.ts';

/** What was current at some event, in a schema of its own beside the log. */
export interface PastSchema {
  /** Of the last event in it; 0 where it is new. */
  readonly position: number;
  /** The next events of the log, in one transaction. */
  apply(events: readonly RecordedEvent[]): Promise<void>;
  close(): Promise<void>;
}

/** Names that can be typed anywhere; those with `pg_` are PostgreSQL's own. */
const NAME = /^(?!pg_)[a-z_][a-z0-9_]{0,62}$/;

/**
 * Opens a schema that is absent, empty, or a replay of the same log: tables with the columns of the live
 * read model under its first names, which nothing serves. Batches are written by the code that writes
 * the live one: `search_path` says where to.
 *
 * Whoever opens it may be killed at any moment: rows and position are committed together. Not on
 * disk at once: after a power failure some batches are done again. Throws `ReadModelError`
 * (`NOT_A_REPLAY`, `REBUILDING` where somebody else has it open).
 */
export async function openPastSchema(url: string, name: string): Promise<PastSchema> {
  if (!NAME.test(name) || name === 'information_schema') {
    throw refusal(`${name} is no name for a schema of this kind: a-z, 0-9 and _, 63 at most`);
  }
  const client = new Client({
    connectionString: url,
    application_name: 'scrivener replay',
    keepAlive: true,
  });
  client.on('error', () => {}); // the query that runs into it reports it
  await client.connect();
  let [user, quoted] = ['', ''];
  try {
    ({ user, quoted } = await namesOf(client, name));
    await lock(client, name);
    await client.query(`set synchronous_commit = off; set time zone 'UTC'`);
    if (!(await isReplay(client, name))) await make(client, name, quoted);
    await client.query(
      `select set_config('search_path', $1 || ', ' || current_setting('search_path'), false)`,
      [quoted],
    );
    let position = await positionOf(client, name);
    return {
      get position() {
        return position;
      },
      async apply(events) {
        const last = events.at(-1);
        if (last === undefined) return;
        await client.query('begin');
        const written = await writeBatch(client, 'a', { checkpoint: position, events });
        if (written === undefined) throw new ReadModelError('REBUILDING', `${name} has changed`);
        await client.query(`update scrivener_replay set hash = decode($1, 'hex')`, [last.hash]);
        await client.query('commit');
        ({ position } = last);
      },
      close: () => client.end(),
    };
  } catch (error) {
    await client.end().catch(() => {}); // the connection may be gone
    const isForbidden = error instanceof Error && 'code' in error && error.code === '42501';
    if (!isForbidden) throw error;
    throw refusal(
      `${error.message}: have the owner of the database run: create schema ${quoted} authorization "${user}"`,
      { cause: error },
    );
  }
}

function refusal(message: string, options?: ErrorOptions): ReadModelError {
  return new ReadModelError('NOT_A_REPLAY', message, options);
}

/** Who is logged in, and the schema's name as SQL wants it: `order` needs quotes. */
async function namesOf(
  client: Client,
  name: string,
): Promise<{ readonly user: string; readonly quoted: string }> {
  const { rows } = await client.query<{ user: string; quoted: string }>(
    `select current_user as "user", quote_ident($1) as quoted`,
    [name],
  );
  return rows[0] ?? { user: '', quoted: name };
}

async function lock(client: Client, name: string): Promise<void> {
  const { rows } = await client.query<{ locked: boolean }>(
    `select pg_try_advisory_lock(hashtext('scrivener replay'), hashtext($1)) as locked`,
    [name],
  );
  if (rows[0]?.locked !== true) {
    throw new ReadModelError('REBUILDING', `a replay into ${name} is under way`);
  }
}

/** Whether a replay made it; false where it has yet to be made. */
async function isReplay(client: Client, name: string): Promise<boolean> {
  const { rows } = await client.query<Record<'replay' | 'empty' | 'log', boolean>>(
    `select to_regclass(quote_ident($1) || '.scrivener_replay') is not null as replay,
       not exists (select from pg_class where relnamespace = pg_namespace.oid) as empty,
       to_regclass(quote_ident($1) || '.events') is not null as log
     from pg_namespace where nspname = $1`,
    [name],
  );
  const [schema] = rows;
  if (schema?.log === true) throw refusal(`${name} is where the log and what is live lie`);
  if (schema === undefined || schema.empty) return false;
  if (!schema.replay) throw refusal(`the schema ${name} is there, and no replay made it`);
  return true;
}

async function make(client: Client, name: string, quoted: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_namespace where nspname = $1', [name]);
  await client.query('begin');
  if (rowCount === 0) await client.query(`create schema ${quoted}`);
  await client.query(`set local search_path = ${quoted}; ${TABLES_OF_A_REPLAY}`);
  await client.query('commit');
}

async function positionOf(client: Client, name: string): Promise<number> {
  const { rows } = await client.query<{ position: string; same: boolean | null }>(
    `select projections.position, (
       select events.hash = scrivener_replay.hash from events
       where events.position = projections.position
     ) as same
     from projections, scrivener_replay`,
  );
  const position = Number(rows[0]?.position);
  if (position > 0 && rows[0]?.same !== true) throw refusal(`${name} is a replay of another log`);
  return position;
}

/** As `migrations/server` made them for what is live; a test compares them. */
const TABLES_OF_A_REPLAY = `
  create table metafiles (
    gun_sha256 bytea not null,
    role text not null,
    version bigint not null,
    sha256 bytea not null,
    published_at timestamptz not null,
    position bigint not null,
    primary key (gun_sha256, role, version)
  );
  create table changefeed (
    id bigint primary key,
    created_at timestamptz not null,
    gun text not null,
    gun_sha256 bytea not null,
    version bigint not null,
    sha256 bytea,
    category text not null,
    position bigint not null
  );
  create index changefeed_gun on changefeed (gun_sha256, id);
  create table expiries (
    gun text not null,
    gun_sha256 bytea not null,
    role text not null,
    subject text not null,
    version bigint not null,
    made_by text not null,
    published_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (gun_sha256, role, subject)
  );
  create table projections (name text primary key, position bigint not null, live boolean not null);
  insert into projections (name, position, live) values ('${TABLES.a.projection}', 0, false);
  -- Of the event at that position: another log has another.
  create table scrivener_replay (
    only_row boolean primary key default true check (only_row),
    hash bytea
  );
  insert into scrivener_replay default values`;
