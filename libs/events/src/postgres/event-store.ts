import { MikroORM } from '@mikro-orm/postgresql';
import type { Gun, Sha256 } from '@scrivener/tuf';
import type { Pool } from 'pg';
import { draftOf, isStorableGun } from '../draft.ts';
import { EventLogError } from '../errors.ts';
import { WrongExpectedVersion, type EventStore, type RecordedEvent } from '../event-store.ts';
import { CHANNEL, createAppend, toldBy } from './append.ts';
import { lookAfter, planOnce, promptly } from './connections.ts';
import { bytea, gunDigest, hex } from './digests.ts';
import { StoredFile } from './entities.ts';
import { eventColumns, recordedEvent, type EventRow } from './event-row.ts';
import { gather } from './gather.ts';
import { listen, type Listener } from './listen.ts';
import type { Rider } from './rider.ts';

/** How long an unused connection is kept, in milliseconds: new ones cost more than a publish. */
const IDLE = 60_000;

/** Streams that one query reads at most. */
const MOST_STREAMS = 64;

export interface PostgresOptions {
  /** Connections at most; 10 where absent. */
  readonly poolSize?: number;
  /** How long a statement may take, in milliseconds; 10 s where absent. */
  readonly timeoutMs?: number;
  /** Handed the pool of connections, whose figures somebody wants to see. */
  readonly onPool?: (pool: Pick<Pool, 'totalCount' | 'idleCount' | 'waitingCount'>) => void;
  /** What may be written with an event that its writer is going to project. */
  readonly rider?: Rider | undefined;
}

/**
 * The log in Postgres, whose tables `migrations/server` made. Connects at the first use, so it can
 * be opened while the database is away; until then, and whenever it is away, calls reject.
 */
export async function postgresEventStore(
  url: string,
  { poolSize = 10, timeoutMs = 10_000, onPool, rider }: PostgresOptions = {},
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
      ...planOnce,
      ...promptly,
    },
  });
  const pool = await orm.em.getDriver().getConnection().getNativeClient();
  onPool?.(pool);
  lookAfter(pool);
  const insert = createAppend(pool, rider);
  const readRest = gather<Rest, readonly RecordedEvent[]>({
    fits: (chosen) => chosen.length < MOST_STREAMS,
    ask: (rests) => readRests(rests, select),
  });
  const listeners = new Set<Listener>();
  const select = async (statement: Statement) => {
    const { rows } = await pool.query<EventRow>(statement);
    return rows.map(recordedEvent);
  };

  return {
    async append(head, event, metafiles, options = {}) {
      const draft = draftOf(head, event, metafiles);
      const position = await insert(head, draft, options);
      if (position !== undefined) {
        return { position, version: draft.version, hash: draft.hash, event };
      }
      // Lost a race, or added it before and never heard of it: the hash tells which.
      const [taken] = await select(byVersion(head.gun, draft.version));
      if (taken?.hash !== draft.hash) throw new WrongExpectedVersion(head.gun, head.version);
      return taken;
    },

    async readStream(gun, after, limit) {
      if (!isStorableGun(gun)) return [];
      // pages of a history may be long, and nobody shall wait for them
      if (limit !== undefined) return select(streamAfter(gun, after, limit));
      return readRest({ gun, after });
    },

    async lastPosition() {
      const { rows } = await pool.query<{ last: string }>(LAST_POSITION);
      return Number(rows[0]?.last);
    },

    async positionAt(time) {
      const { rows } = await pool.query<{ last: string }>(
        'select coalesce(max(position), 0) as last from events where at <= $1',
        [time],
      );
      return Number(rows[0]?.last);
    },

    // Contiguous positions in the order of commits: whoever sees one sees all below it.
    readAfter: (after, limit) => select(logAfter(after, limit)),

    async readBytes(checksums) {
      const rows = await orm.em.fork().find(StoredFile, { sha256: { $in: checksums.map(bytea) } });
      return new Map(rows.map(({ sha256, bytes }) => [hex(sha256) as Sha256, bytes]));
    },

    async subscribe(wake) {
      const listener = await listen(url, CHANNEL, {
        onMessage: (payload) => wake(toldBy(payload)),
        onConnect: () => wake({}),
      });
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

/** What comes in a stream behind a version. */
interface Rest {
  readonly gun: Gun;
  readonly after: number;
}

type Select = (statement: Statement) => Promise<readonly RecordedEvent[]>;

/** One query for those who ask together, each of whom gets what the same question alone would give. */
async function readRests(
  rests: readonly Rest[],
  select: Select,
): Promise<PromiseSettledResult<readonly RecordedEvent[]>[]> {
  const [only] = rests;
  if (only !== undefined && rests.length === 1) {
    const [outcome] = await Promise.allSettled([select(streamAfter(only.gun, only.after))]);
    return [outcome];
  }
  let events: readonly RecordedEvent[];
  try {
    events = await select(streamsAfter(rests));
  } catch (error) {
    if (!(error instanceof EventLogError)) throw error;
    // An event that nobody can read is the trouble of those who asked for it.
    return Promise.allSettled(rests.map(({ gun, after }) => select(streamAfter(gun, after))));
  }
  const streams = Map.groupBy(events, ({ event }) => event.gun);
  return rests.map(({ gun, after }) => ({
    status: 'fulfilled',
    value: (streams.get(gun) ?? []).filter(({ version }) => version > after),
  }));
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

/** Each stream once, from the earliest version that anybody asked for. */
function streamsAfter(rests: readonly Rest[]): Statement {
  const earliest = new Map<Gun, number>();
  for (const { gun, after } of rests) {
    earliest.set(gun, Math.min(after, earliest.get(gun) ?? after));
  }
  return {
    name: 'streams after',
    text: STREAMS_AFTER,
    values: [[...earliest.keys()].map(gunDigest), [...earliest.values()]],
  };
}

/** One look into the index for each stream, whatever the planner thinks of joins. */
const STREAMS_AFTER = `
  select ${eventColumns} from unnest($1::bytea[], $2::int[]) as wanted (digest, after)
  cross join lateral (
    select * from events
    where events.gun_sha256 = wanted.digest and events.version > wanted.after
    order by events.version offset 0
  ) as rest
  order by version`;

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
