import { MikroORM } from '@mikro-orm/postgresql';
import type { Gun, Sha256 } from '@scrivener/tuf';
import type { Pool } from 'pg';
import { draftOf, isStorableGun } from '../draft.ts';
import { WrongExpectedVersion, type EventStore } from '../event-store.ts';
import { CHANNEL, createAppend } from './append.ts';
import { bytea, gunDigest, hex } from './digests.ts';
import { StoredFile } from './entities.ts';
import { eventColumns, recordedEvent, type EventRow } from './event-row.ts';
import { listen, type Listener } from './listen.ts';

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
  const insert = createAppend(pool);
  const listeners = new Set<Listener>();
  const select = async (statement: Statement) => {
    const { rows } = await pool.query<EventRow>(statement);
    return rows.map(recordedEvent);
  };

  return {
    async append(head, event, metafiles) {
      const draft = draftOf(head, event, metafiles);
      const position = await insert(head, draft);
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
