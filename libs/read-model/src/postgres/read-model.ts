import { setTimeout as sleep } from 'node:timers/promises';
import { byIndex, listen, lookAfter, promptly, type Rider } from '@scrivener/events/postgres';
import { MikroORM } from '@mikro-orm/postgresql';
import type { Gun, RoleName, ServerRole, Sha256 } from '@scrivener/tuf';
import type { Pool } from 'pg';
import { pageOf } from '../changefeed.ts';
import { ReadModelError } from '../errors.ts';
import { gunDigest } from '../gun-digest.ts';
import { positionWaiters } from '../position-waiters.ts';
import type { Change, ProjectedBatch, PublishedFile, ReadModel } from '../read-model.ts';
import { bytea } from './digests.ts';
import { ChangefeedEntry } from './entities.ts';
import { postgresExpiries } from './expiries.ts';
import { postgresGenerations } from './generations.ts';
import { CHANNEL, liveSlot, projectBatch, rideOf, writeBatch } from './project.ts';
import { postgresReaders } from './readers.ts';
import type { Slot } from './slots.ts';

/** Behind NOTIFY, for as long as somebody waits: how often the checkpoint is read, in milliseconds. */
const POLL = 100;

/** So often others are faster, until it is asked whether another generation is live. */
const MISSES = 4;

/** How long nothing rides along with appends after the database refused that, in milliseconds. */
const REFUSED = 60_000;

/** Events per batch of a log that was restored, of which nothing is live yet: fewer than a statement has time for. */
const RESTORED = 5_000;

/** How long an unused connection is kept, in milliseconds: new ones cost more than a GET. */
const IDLE = 60_000;

export interface PostgresOptions {
  /** Connections at most; 10 where absent. */
  readonly poolSize?: number;
  /** How long a statement may take, in milliseconds; 10 s where absent. */
  readonly timeoutMs?: number;
  /** Handed the pool of connections, whose figures somebody wants to see. */
  readonly onPool?: (pool: Pick<Pool, 'totalCount' | 'idleCount' | 'waitingCount'>) => void;
  /** Told of each batch that this process has projected; not of a replay. */
  readonly onProjected?: (batch: ProjectedBatch) => void;
}

export interface PostgresReadModel extends ReadModel {
  /**
   * For the log in the same database: what a lone event comes to is written with it, where its writer asks for
   * that and the projection has got right in front of it. `projectNext` then finds it done.
   */
  readonly rider: Rider;
}

/**
 * The read model in Postgres, beside the log, whose tables `migrations/server` made. Can be opened
 * while the database is away; calls reject until it is there, but for `reached`, which waits.
 */
export async function postgresReadModel(
  url: string,
  { poolSize = 10, timeoutMs = 10_000, onPool, onProjected = () => {} }: PostgresOptions = {},
): Promise<PostgresReadModel> {
  const orm = await MikroORM.init({
    clientUrl: url,
    entities: [ChangefeedEntry],
    ensureDatabase: false, // that would connect at once
    pool: { max: poolSize, idleTimeoutMillis: IDLE },
    driverOptions: {
      connectionString: url, // MikroORM takes from it all but what it says about TLS
      application_name: 'scrivener read model',
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      ...byIndex,
      ...promptly,
    },
  });
  const pool = await orm.em.getDriver().getConnection().getNativeClient();
  onPool?.(pool);
  lookAfter(pool);
  const waiters = positionWaiters();
  const readers = postgresReaders(url, timeoutMs);
  const listener = await listen(url, CHANNEL, {
    onMessage(payload) {
      waiters.reached(Number(payload));
      readers.projected(Number(payload));
    },
    onConnect() {
      waiters.forget();
      readers.missed();
    },
  });

  const look = async <Row extends FileRow>(statement: Statement): Promise<Row | undefined> => {
    const { rows } = await pool.query<Row>(statement);
    const [row] = rows;
    if (row !== undefined) await readers.settled(Number(row.position));
    return row;
  };

  const file = async (statement: Statement | undefined): Promise<PublishedFile | undefined> => {
    const row = statement && (await look<FileRow>(statement));
    return row && publishedFile(row);
  };

  const checkpoint = async (): Promise<number> => {
    const { rows } = await pool.query<{ position: string }>({
      name: 'checkpoint',
      text: 'select position from projections where live',
    });
    return Number(rows[0]?.position ?? 0);
  };

  let polling = false;
  const poll = async (): Promise<void> => {
    if (polling) return;
    polling = true;
    while (waiters.isWaiting()) {
      await sleep(POLL);
      // an error here is one more reason to wait
      if (waiters.isWaiting())
        await checkpoint().then(
          (position) => waiters.reached(position),
          () => {},
        );
    }
    polling = false;
  };

  const project = async (limit?: number) => {
    const outcome = await projectBatch(pool, limit);
    if (outcome.result === 'busy') return outcome.result;
    waiters.reached(outcome.checkpoint ?? 0);
    if (outcome.projected !== undefined) onProjected(outcome.projected);
    return outcome.result;
  };

  /** The generation that was live when this process last knew, and how often it could not be written since. */
  let slot: Slot | undefined;
  let misses = 0;
  /** The last event that rode along and is live: it is projected. */
  let ridden: { readonly position: number; readonly startedAt: Date } | undefined;
  let refusedUntil = -Infinity;
  const rider: Rider = {
    board(event) {
      if (slot === undefined || performance.now() < refusedUntil) return undefined;
      const startedAt = new Date();
      const ride = rideOf(slot, event);
      return (
        ride && {
          ...ride,
          arrived(position, live) {
            if (live === true) ridden = { position, startedAt };
            if (live === false) slot = undefined; // written, but to what is not read any more
          },
          refused() {
            refusedUntil = performance.now() + REFUSED;
          },
        }
      );
    },
  };
  const projectNext: ReadModel['projectNext'] = async (events) => {
    const startedAt = new Date();
    const last = events.at(-1)?.position ?? 0;
    if (last === ridden?.position) {
      waiters.reached(last);
      onProjected({ events, startedAt: ridden.startedAt });
      return true;
    }
    slot ??= await liveSlot(pool);
    const written = await writeBatch(pool, slot, { checkpoint: events[0].position - 1, events });
    if (written?.live !== true) {
      misses = written === undefined ? misses + 1 : MISSES;
      if (misses >= MISSES) slot = undefined;
      return false;
    }
    misses = 0;
    waiters.reached(last);
    onProjected({ events, startedAt });
    return true;
  };

  return {
    current: (gun, role) => file(currentOf(gun, role)),
    async currentOfServer(gun, role) {
      const row = await look<ServerFileRow>(currentOfServer(gun, role));
      // there is an expiry wherever there is a file; without one it would count as expired
      return row && { ...publishedFile(row), expiresAt: new Date(row.expires_ms ?? 0) };
    },
    byVersion: (gun, role, version) => file(withVersion(gun, role, version)),
    byChecksum: (gun, role, sha256) => file(withChecksum(gun, role, sha256)),

    async changes({ gun, ...query }) {
      const { from, above, below, limit } = pageOf(query);
      const select = orm.em.fork().createQueryBuilder(ChangefeedEntry);
      select.where({ id: { $gt: above } });
      if (below !== undefined) select.andWhere({ id: { $lt: below } });
      if (gun !== undefined) select.andWhere({ gunSha256: gunDigest(gun) });
      select.orderBy({ id: from === 'oldest' ? 'asc' : 'desc' }).limit(limit);
      const rows: ChangefeedRow[] = await select.execute('all', false);
      const changes = rows.map(change);
      return from === 'oldest' ? changes : changes.toReversed();
    },

    expiries: postgresExpiries(pool),

    readers,

    project: () => project(),

    projectNext,

    rider,

    checkpoint,

    async lag() {
      const { rows } = await pool.query<LagRow>({ name: 'lag', text: LAG });
      const [row] = rows;
      if (row === undefined) throw new Error('no generation is live');
      return {
        position: Number(row.position),
        checkpoint: Number(row.checkpoint),
        behindMs: row.behind_ms,
      };
    },

    reached(position, timeoutMs) {
      const answer = waiters.wait(position, timeoutMs);
      void poll();
      return answer;
    },

    async replay(onProgress) {
      const generations = postgresGenerations(url);
      try {
        const rebuilt = await generations.rebuild({
          fromStart: true,
          ...(onProgress && { onProgress }),
        });
        if (rebuilt.result === 'live') waiters.reached(rebuilt.position);
        while ((await project(RESTORED)) === 'more'); // where nobody else does
      } finally {
        await generations.close();
      }
    },

    async close() {
      waiters.close();
      await listener.close();
      await readers.close();
      await orm.close(true);
      if (!pool.ended) await pool.end(); // MikroORM ends it only if it used it itself
    },
  };
}

interface LagRow {
  readonly position: string;
  readonly checkpoint: string;
  readonly behind_ms: number;
}

/** One statement, so that the log cannot have grown between its two looks. */
const LAG = `
  select checkpoint, coalesce((select max(position) from events), 0) as position,
    coalesce((
      select greatest(0, extract(epoch from now() - at) * 1000)::float8 from events
      where events.position = checkpoint + 1
    ), 0) as behind_ms
  from (select position as checkpoint from projections where live) as reached`;

/** A statement that each connection prepares once, under its name. */
interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

interface FileRow {
  readonly bytes: Buffer | null;
  readonly version: string;
  readonly sha256: string;
  readonly published_ms: number;
  /** Of the event that made it. */
  readonly position: string;
}

interface ServerFileRow extends FileRow {
  readonly expires_ms: number | null;
}

/** The row is found by an index before its bytes are looked up, whatever the planner thinks of joins. */
export const fileWhere = (condition: string, more = '') => `
  select (select bytes from files where files.sha256 = row.sha256) as bytes,
    version, encode(sha256, 'hex') as sha256,
    (extract(epoch from published_at) * 1000)::float8 as published_ms, position${more}
  from (
    select version, sha256, published_at, position from live_metafiles
    where gun_sha256 = $1 and role = $2 ${condition}
    order by version desc limit 1
  ) as row`;

const CURRENT = fileWhere('');
const BY_VERSION = fileWhere('and version = $3');
const BY_CHECKSUM = fileWhere('and sha256 = $3');

const expiryOf = (role: ServerRole) => `(
  select expires_at from live_expiries
  where gun_sha256 = $1 and role = '${role}' and subject = 'metadata'
)`;

const EXPIRY = `, (extract(epoch from
    least(${expiryOf('timestamp')}, ${expiryOf('snapshot')})) * 1000)::float8 as expires_ms`;

/** Both expiries are found by the primary key, and belong to the same state as the file. */
export const CURRENT_OF_SERVER = fileWhere('', EXPIRY);

function currentOfServer(gun: Gun, role: ServerRole): Statement {
  return {
    name: 'current file of server',
    text: CURRENT_OF_SERVER,
    values: [gunDigest(gun), role],
  };
}

function currentOf(gun: Gun, role: RoleName): Statement | undefined {
  if (!isText(role)) return undefined;
  return { name: 'current file', text: CURRENT, values: [gunDigest(gun), role] };
}

function withVersion(gun: Gun, role: RoleName, version: bigint): Statement | undefined {
  if (!isText(role) || BigInt.asIntN(64, version) !== version) return undefined;
  const values = [gunDigest(gun), role, version.toString()];
  return { name: 'file by version', text: BY_VERSION, values };
}

function withChecksum(gun: Gun, role: RoleName, sha256: Sha256): Statement | undefined {
  const digest = bytea(sha256);
  // only lower-case digits find anything (WIRE §3), and to Postgres they are all the same
  if (!isText(role) || digest.toString('hex') !== sha256) return undefined;
  const values = [gunDigest(gun), role, digest];
  return { name: 'file by checksum', text: BY_CHECKSUM, values };
}

/** Paths may name roles that Postgres has no text for, and that nobody ever published. */
function isText(role: string): boolean {
  return !role.includes('\0') && role.isWellFormed();
}

function publishedFile({ bytes, version, sha256, published_ms }: FileRow): PublishedFile {
  if (bytes === null) throw new ReadModelError('MISSING_BYTES', `no bytes of ${sha256}`);
  return {
    bytes,
    version: BigInt(version),
    sha256: sha256 as Sha256,
    publishedAt: new Date(published_ms),
  };
}

/** As the driver gives it. */
interface ChangefeedRow {
  readonly id: string;
  readonly created_at: string;
  readonly gun: string;
  readonly version: string;
  readonly sha256: Buffer | null;
  readonly category: Change['category'];
}

function change({ id, created_at, gun, version, sha256, category }: ChangefeedRow): Change {
  return {
    id: Number(id),
    createdAt: new Date(created_at),
    gun: gun as Gun,
    version: BigInt(version),
    sha256: (sha256?.toString('hex') ?? '') as Sha256 | '',
    category,
  };
}
