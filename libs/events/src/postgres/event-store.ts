import { createHash } from 'node:crypto';
import { MikroORM } from '@mikro-orm/postgresql';
import type { Gun, Sha256 } from '@scrivener/tuf';
import { DatabaseError, type Pool } from 'pg';
import { draftOf, isStorableGun, type Draft } from '../draft.ts';
import { WrongExpectedVersion, type EventStore, type StreamHead } from '../event-store.ts';
import { StoredFile } from './entities.ts';
import { eventColumns, recordedEvent, type EventRow } from './event-row.ts';
import { listen, type Listener } from './listen.ts';

/** NOTIFY after every append; the payload is the position. */
const CHANNEL = 'scrivener_appended';

/** How long an unused connection is kept, in milliseconds: new ones cost more than a publish. */
const IDLE = 60_000;

export interface PostgresOptions {
  /** Connections at most; 10 where absent. */
  readonly poolSize?: number;
  /** How long a statement may take, in milliseconds; 10 s where absent. */
  readonly timeoutMs?: number;
  /** Handed the pool of connections, whose figures somebody wants to see. */
  readonly onPool?: (pool: Pick<Pool, 'totalCount' | 'idleCount' | 'waitingCount'>) => void;
}

/**
 * The log in Postgres, whose tables `migrations/server` made. Connects at the first use, so it can
 * be opened while the database is away; until then, and whenever it is away, calls reject.
 */
export async function postgresEventStore(
  url: string,
  { poolSize = 10, timeoutMs = 10_000, onPool }: PostgresOptions = {},
): Promise<EventStore> {
  const orm = await MikroORM.init({
    clientUrl: url,
    entities: [StoredFile],
    ensureDatabase: false, // that would connect at once
    pool: { max: poolSize, idleTimeoutMillis: IDLE },
    driverOptions: {
      connectionString: url, // MikroORM takes from it all but what it says about TLS
      application_name: 'scrivener events',
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      keepAlive: true,
    },
  });
  const pool = await orm.em.getDriver().getConnection().getNativeClient();
  onPool?.(pool);
  const listeners = new Set<Listener>();
  const select = async (statement: Statement) => {
    const { rows } = await pool.query<EventRow>(statement);
    return rows.map(recordedEvent);
  };

  return {
    async append(head, event, metafiles) {
      const draft = draftOf(head, event, metafiles);
      const position = await insert(pool, head, draft);
      if (position !== undefined) {
        return { position, version: draft.version, hash: draft.hash, event };
      }
      // Lost a race, or added it before and never heard of it: the hash tells which.
      const [taken] = await select(byVersion(head.gun, draft.version));
      if (taken?.hash !== draft.hash) throw new WrongExpectedVersion(head.gun, head.version);
      return taken;
    },

    readStream: async (gun, after, limit) =>
      isStorableGun(gun) ? select(streamAfter(gun, after, limit)) : [],

    async lastPosition() {
      const { rows } = await pool.query<{ last: string }>(LAST_POSITION);
      return Number(rows[0]?.last);
    },

    // Contiguous positions in the order of commits: whoever sees one sees all below it.
    readAfter: (after, limit) => select(logAfter(after, limit)),

    async readBytes(checksums) {
      const rows = await orm.em.fork().find(StoredFile, { sha256: { $in: checksums.map(bytea) } });
      return new Map(rows.map(({ sha256, bytes }) => [hex(sha256) as Sha256, bytes]));
    },

    async subscribe(wake) {
      const listener = await listen(url, CHANNEL, { onMessage: wake, onConnect: wake });
      listeners.add(listener);
      return async () => {
        listeners.delete(listener);
        await listener.close();
      };
    },

    async close() {
      await Promise.all([...listeners].map((listener) => listener.close()));
      await orm.close(true);
      if (!pool.ended) await pool.end(); // MikroORM ends it only if it used it itself
    },
  };
}

/**
 * The position that the event got; `undefined` where it does not follow the stream's last event.
 *
 * One statement, committed by itself: no connection of ours ever holds the row of `log_head` while
 * the server waits for us, so a client that hangs or dies can stop nobody. The row is locked before
 * anything else is written, hence always in the same order, and given back when all is durable.
 */
async function insert(pool: Pool, head: StreamHead, draft: Draft): Promise<number | undefined> {
  const { stored, version, hash, files } = draft;
  const values: unknown[] = [
    stored.gun,
    gunDigest(head.gun),
    version,
    stored.type,
    stored.at,
    stored.data,
    stored.cause,
    bytea(hash),
    bytea(head.hash),
  ];
  const fileRows: string[] = [];
  for (const [sha256, bytes] of files) {
    values.push(bytea(sha256), bytes);
    fileRows.push(`($${values.length - 1}::bytea, $${values.length}::bytea)`);
  }
  const client = await pool.connect();
  let lost = false;
  try {
    const { rows } = await client.query<{ position: string }>({
      // prepared once a connection, unless it is a shape that hardly comes twice
      ...(files.size <= 8 && { name: `append with ${files.size} files` }),
      text: appendSql(fileRows),
      values,
    });
    return rows[0] && Number(rows[0].position);
  } catch (error) {
    if (isUniqueViolation(error)) return undefined; // lost a race; the connection is as good as before
    lost = true;
    throw error;
  } finally {
    client.release(lost);
  }
}

const appendSql = (files: readonly string[]) => `
  with head as (
    update log_head set position = position + 1
    where not exists (select from events where gun_sha256 = $2 and version = $3)
      and ($3 = 1 or exists (
        select from events where gun_sha256 = $2 and version = $3 - 1 and hash = $9))
    returning position
  ),
  ${files.length === 0 ? '' : filesSql(files)}
  added as (
    insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
    select position, $1, $2, $3, $4, $5, $6, $7, $8 from head
    returning position
  )
  select position, pg_notify('${CHANNEL}', position::text) from added`;

const filesSql = (files: readonly string[]) => `
  kept as (
    insert into files (sha256, bytes)
    select file.sha256, file.bytes from head, (values ${files.join(', ')}) as file (sha256, bytes)
    on conflict (sha256) do nothing
  ),`;

function isUniqueViolation(error: unknown): boolean {
  return error instanceof DatabaseError && error.constraint === 'events_stream_version';
}

/** A statement that each connection prepares once, under its name. */
interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

const byVersion = (gun: Gun, version: number): Statement => ({
  name: 'event by version',
  text: `select ${eventColumns} from events where gun_sha256 = $1 and version = $2`,
  values: [gunDigest(gun), version],
});

const streamAfter = (gun: Gun, after: number, limit?: number): Statement => ({
  name: 'stream after',
  text: `select ${eventColumns} from events
    where gun_sha256 = $1 and version > $2 order by version limit $3`,
  values: [gunDigest(gun), after, limit ?? null],
});

// Not of `log_head`, which not everybody who may read events may read.
const LAST_POSITION: Statement = {
  name: 'last position',
  text: 'select coalesce(max(position), 0) as last from events',
  values: [],
};

const logAfter = (after: number, limit: number): Statement => ({
  name: 'log after',
  text: `select ${eventColumns} from events where position > $1 order by position limit $2`,
  values: [after, limit],
});

function gunDigest(gun: Gun): Buffer {
  return createHash('sha256').update(gun).digest();
}

const bytea = (digits: string) => Buffer.from(digits, 'hex');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
