import { createHash } from 'node:crypto';
import type { Draft, StreamHead } from '@scrivener/events';
import type { ClientBase } from 'pg';

/** An event as it goes into `events`, all but its position. Survives the way from thread to thread. */
export interface EventRow {
  /** In milliseconds. */
  readonly time: number;
  readonly gun: string;
  readonly version: number;
  readonly type: string;
  readonly at: string;
  readonly data: string;
  readonly cause: string;
  readonly hash: StreamHead['hash'];
}

export function eventRow({ stored, version, hash }: Draft): EventRow {
  const { gun, type, at, data, cause } = stored;
  return { time: Date.parse(at), gun, version, type, at, data, cause, hash };
}

/** In the order of the log: by time, and by name and version where that is the same. */
export function inOrder(a: EventRow, b: EventRow): number {
  if (a.time !== b.time) return a.time - b.time;
  if (a.gun !== b.gun) return a.gun < b.gun ? -1 : 1;
  return a.version - b.version;
}

/** Adds events behind those that are there: positions without a gap, and the head with them. */
export async function insertEvents(client: ClientBase, rows: readonly EventRow[]): Promise<void> {
  await client.query('begin');
  const { rows: heads } = await client.query<{ position: string }>(
    'update log_head set position = position + $1 returning position',
    [rows.length],
  );
  const first = Number(heads[0]?.position) - rows.length + 1;
  await client.query(INSERT_EVENTS, [
    first,
    rows.map(({ gun }) => gun),
    rows.map(({ gun }) => createHash('sha256').update(gun).digest()),
    rows.map(({ version }) => version),
    rows.map(({ type }) => type),
    rows.map(({ at }) => at),
    rows.map(({ data }) => data),
    rows.map(({ cause }) => cause),
    rows.map(({ hash }) => Buffer.from(hash, 'hex')),
  ]);
  await client.query('commit');
}

const INSERT_EVENTS = `
  insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
  select $1 + nth - 1, gun, gun_sha256, version, type, at, data::json, cause::json, hash
  from unnest(
    $2::text[], $3::bytea[], $4::int[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
    $9::bytea[]
  ) with ordinality as row (gun, gun_sha256, version, type, at, data, cause, hash, nth)
  order by nth`;

/** The exact bytes under their checksums, each once. */
export async function insertFiles(
  client: ClientBase,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  await client.query(
    `insert into files (sha256, bytes) select * from unnest($1::bytea[], $2::bytea[])
     on conflict (sha256) do nothing`,
    [
      [...files.keys()].map((sha256) => Buffer.from(sha256, 'hex')),
      [...files.values()].map((bytes) => Buffer.from(bytes)),
    ],
  );
}
