import { retold, withoutUndone, type RecordedEvent, type RepositoryEvent } from '@scrivener/events';
import {
  eventColumns,
  projectedColumns,
  recordedEvent,
  type EventRow,
  type Ride,
} from '@scrivener/events/postgres';
import type { Gun } from '@scrivener/tuf';
import type { ClientBase, Pool } from 'pg';
import { bigintArray, byteaArray, hexArray, textArray, timeArray } from './arrays.ts';
import { changeRows } from '../changefeed.ts';
import { ReadModelError } from '../errors.ts';
import { expiryChanges } from '../expiries.ts';
import { gunDigest } from '../gun-digest.ts';
import { metafileChanges } from '../metafiles.ts';
import type { ProjectedBatch } from '../read-model.ts';
import { slotOf, TABLES, type Slot, type Tables } from './slots.ts';

/** Events per batch. */
const BATCH = 500;

/** NOTIFY in the transaction of each batch of the live generation; the payload is its checkpoint, or 0 where what was read before it may be wrong. */
export const CHANNEL = 'scrivener_projected';

export type Connection = Pick<Pool | ClientBase, 'query'>;

/** The next events, and the checkpoint that they follow. */
export interface Batch {
  readonly checkpoint: number;
  readonly events: readonly RecordedEvent[];
}

/** What one batch came to. `checkpoint` is where it left the projection. */
export type Outcome =
  | {
      readonly result: 'idle' | 'more';
      readonly checkpoint?: number;
      readonly projected?: ProjectedBatch;
    }
  | { readonly result: 'busy' };

/**
 * Projects one batch of the live generation: reads what follows the checkpoint, then writes rows and
 * checkpoint in one statement that works only if the checkpoint is still what it was.
 *
 * The log never changes, so what was read stays right however long it takes; and as the statement
 * commits by itself, a projector that is killed or stopped between the two holds nothing that
 * another one would have to wait for.
 */
export async function projectBatch(connection: Connection, limit = BATCH): Promise<Outcome> {
  const startedAt = new Date();
  const { slot, batch } = await readLive(connection, limit);
  const { events } = batch;
  const last = events.at(-1);
  if (last === undefined) return { result: 'idle' };
  const written = await writeBatch(connection, slot, batch);
  if (written === undefined) return { result: 'busy' };
  // Another generation became live in between: what was written is right, but it is not what is read.
  if (!written.live) return { result: 'more' };
  const result = events.length === limit ? 'more' : 'idle';
  return { result, checkpoint: last.position, projected: { events, startedAt } };
}

/** The generation that is read. */
export async function liveSlot(connection: Connection): Promise<Slot> {
  const { rows } = await connection.query<{ name: string }>({
    name: 'live slot',
    text: 'select name from projections where live',
  });
  return slotOf(rows[0]?.name ?? '');
}

type BatchRow = EventRow & { readonly checkpoint: string; readonly projection: string };

async function readLive(
  connection: Connection,
  limit: number,
): Promise<{ readonly slot: Slot; readonly batch: Batch }> {
  const { rows } = await connection.query<BatchRow>({
    name: 'read batch',
    text: `select projections.position as checkpoint, projections.name as projection, event.*
      from projections, lateral (
        select ${eventColumns} from events
        where events.position > projections.position order by events.position limit $1
      ) as event
      where projections.live
      order by event.position`,
    values: [limit],
  });
  const slot = slotOf(rows[0]?.projection ?? '');
  return { slot, batch: batchOf(Number(rows[0]?.checkpoint ?? 0), rows) };
}

/** What follows a position, without hashes and causes, as far as the live generation has got. Throws `ReadModelError` (`LOG_GAP`). */
export async function readBehindLive(
  connection: Connection,
  checkpoint: number,
  limit = BATCH,
): Promise<Batch> {
  const { rows } = await connection.query<EventRow>({
    name: 'read batch behind live',
    text: `select ${projectedColumns} from events
      where position > $1 and position <= (select position from projections where live)
      order by position limit $2`,
    values: [checkpoint, limit],
  });
  return batchOf(checkpoint, rows);
}

function batchOf(checkpoint: number, rows: readonly EventRow[]): Batch {
  const events = rows.map(recordedEvent);
  for (const [index, { position }] of events.entries()) {
    if (position !== checkpoint + 1 + index) {
      throw new ReadModelError('LOG_GAP', `the log has no event ${checkpoint + 1 + index}`);
    }
  }
  return { checkpoint, events };
}

/**
 * Undefined, and nothing written, where somebody else works on this projection or was faster; else
 * whether this generation was live at the moment of writing. There has to be an event.
 *
 * `onlyNew` takes it for granted that no event repeats a version, which saves a look for each row; the
 * database refuses what does (`UNIQUE_VIOLATION`).
 */
export async function writeBatch(
  connection: Connection,
  slot: Slot,
  { checkpoint, events }: Batch,
  { onlyNew = false }: { readonly onlyNew?: boolean } = {},
): Promise<{ readonly live: boolean } | undefined> {
  const position = events.at(-1)?.position;
  const told = await retold(withoutUndone(events), {
    readStream: (gun, after, limit) => readStream(connection, gun, after, limit),
  });
  const { rows } = await connection.query<{ live: boolean }>({
    name: `write ${onlyNew ? 'new ' : ''}batch ${slot}`,
    text: onlyNew ? WRITE_NEW[slot] : WRITE[slot],
    values: [checkpoint, position, ...rowsOf(events, told)],
  });
  return rows[0];
}

/** The parameters of `rowsSql`. `told`: what `retold` makes of the events. */
function rowsOf(
  events: readonly RecordedEvent[],
  told: readonly RecordedEvent[],
): readonly unknown[] {
  const gunDigest = createDigests();
  const inOrder = byDigest(gunDigest);
  const { removed, added: unordered } = metafileChanges(told);
  const added = inOrder(unordered);
  const changes = changeRows(events);
  const current = inOrder(expiryChanges(told).current); // of the same repositories as `removed`
  return [
    byteaArray(removed.map(gunDigest)),
    byteaArray(added.map(({ gun }) => gunDigest(gun))),
    textArray(added.map(({ role }) => role)),
    bigintArray(added.map(({ version }) => version)),
    hexArray(added.map(({ sha256 }) => sha256)),
    timeArray(added.map(({ publishedAt }) => publishedAt)),
    bigintArray(added.map(({ position }) => position)),
    timeArray(changes.map(({ createdAt }) => createdAt)),
    textArray(changes.map(({ gun }) => gun)),
    byteaArray(changes.map(({ gun }) => gunDigest(gun))),
    bigintArray(changes.map(({ version }) => version)),
    hexArray(changes.map(({ sha256 }) => (sha256 === '' ? null : sha256))),
    textArray(changes.map(({ category }) => category)),
    bigintArray(changes.map(({ position }) => position)),
    textArray(current.map(({ gun }) => gun)),
    byteaArray(current.map(({ gun }) => gunDigest(gun))),
    textArray(current.map(({ role }) => role)),
    textArray(current.map(({ subject }) => subject)),
    bigintArray(current.map(({ version }) => version)),
    textArray(current.map(({ madeBy }) => madeBy)),
    timeArray(current.map(({ publishedAt }) => publishedAt)),
    timeArray(current.map(({ expiresAt }) => expiresAt)),
  ];
}

/** Undefined where rows cannot be made of the event alone. */
export function rideOf(
  slot: Slot,
  event: RepositoryEvent,
): Omit<Ride, 'arrived' | 'refused'> | undefined {
  if (event.type === 'RepositoryRestored') return undefined;
  const events = [{ position: 0, version: 0, hash: '', event }]; // the positions are those of the statement
  return {
    name: `write ${slot}`,
    sql: (first) => loneSql(TABLES[slot], first),
    notify: NOTIFY.replaceAll('moved.', 'ridden.'),
    values: rowsOf(events, events),
  };
}

/** Of each GUN once. */
function createDigests(): (gun: Gun) => Buffer {
  const digests = new Map<Gun, Buffer>();
  return (gun) => {
    const known = digests.get(gun) ?? gunDigest(gun);
    digests.set(gun, known);
    return known;
  };
}

/**
 * Rows of a repository together, in the order of the indexes: what is written into the same pages of them
 * is written at once.
 */
function byDigest(digest: (gun: Gun) => Buffer) {
  return <Row extends { readonly gun: Gun }>(rows: readonly Row[]): Row[] => {
    const groups = [...Map.groupBy(rows, ({ gun }) => gun)];
    groups.sort(([a], [b]) => Buffer.compare(digest(a), digest(b)));
    return groups.flatMap(([, group]) => group);
  };
}

async function readStream(
  connection: Connection,
  gun: Gun,
  after: number,
  limit: number | undefined,
): Promise<readonly RecordedEvent[]> {
  const { rows } = await connection.query<EventRow>(
    `select ${projectedColumns} from events
     where gun_sha256 = $1 and version > $2 order by version limit $3`,
    [gunDigest(gun), after, limit],
  );
  return rows.map(recordedEvent);
}

/**
 * The row lock on the checkpoint is the leadership. A replay meanwhile moves the checkpoint past this
 * batch, so this statement never meets rows that it cannot see.
 *
 * Whether it is live is told by the same row, as it is once it is locked: nobody hears of a checkpoint
 * that readers have not reached.
 */
const writeSql = (tables: Tables, ofRepeated: string) => `
  with leader as (
    select live, $2::bigint as position from projections
    where name = '${tables.projection}' and position = $1
    for update skip locked
  ),
  ${rowsSql(tables, ofRepeated, 3, 'row.position')}
  select live, ${NOTIFY} as told from moved`;

/**
 * The same beside the statement that adds the event (`Ride`), if the checkpoint is right in front of it. That
 * is seen by the snapshot of the statement, which so holds all rows of before: where another event was
 * added or projected since, either position has moved on, and nothing is written.
 */
const loneSql = (tables: Tables, first: number) => `
  leader as (
    select live, head.position from head, projections
    where name = '${tables.projection}' and projections.position = head.position - 1
    for update of projections skip locked
  ),
  ${rowsSql(tables, LAST_COUNTS, first, 'leader.position')},
  ridden as (select * from moved)`;

const NOTIFY = `case when moved.live then pg_notify('${CHANNEL}', moved.position::text) end`;

/**
 * Rows and checkpoint, for the one row of `leader`, from parameters that begin with `$first`. Rows are added
 * only after those of deleted repositories are gone, for a repository may come back within a batch.
 */
function rowsSql(
  { projection, metafiles, changefeed, expiries }: Tables,
  ofRepeated: string,
  first: number,
  position: string,
): string {
  const [guns, ...$] = Array.from({ length: 22 }, (_, n) => `$${first + n}`);
  return `moved as (
    update projections set position = leader.position from leader where name = '${projection}'
    returning projections.position, leader.live
  ),
  removed as (
    delete from ${metafiles} using leader where gun_sha256 = any(${guns}::bytea[]) returning 1
  ),
  cleared as (
    select count(*) from removed
  ),
  added as (
    insert into ${metafiles} (gun_sha256, role, version, sha256, published_at, position)
    select row.gun_sha256, row.role, row.version, row.sha256, row.published_at, ${position}
    from leader, cleared, unnest(
      ${$[0]}::bytea[], ${$[1]}::text[], ${$[2]}::bigint[], ${$[3]}::bytea[], ${$[4]}::timestamptz[],
      ${$[5]}::bigint[]
    ) as row (gun_sha256, role, version, sha256, published_at, position)
    ${ofRepeated}
  ),
  last as (
    select coalesce(max(id), 0) as id from ${changefeed}
  ),
  fed as (
    insert into ${changefeed} (id, created_at, gun, gun_sha256, version, sha256, category, position)
    select last.id + row.nth, row.created_at, row.gun, row.gun_sha256, row.version, row.sha256,
      row.category, ${position}
    from leader, last, unnest(
      ${$[6]}::timestamptz[], ${$[7]}::text[], ${$[8]}::bytea[], ${$[9]}::bigint[], ${$[10]}::bytea[],
      ${$[11]}::text[], ${$[12]}::bigint[]
    ) with ordinality
      as row (created_at, gun, gun_sha256, version, sha256, category, position, nth)
  ),
  ended as (
    delete from ${expiries} using leader where gun_sha256 = any(${guns}::bytea[]) returning 1
  ),
  emptied as (
    select count(*) from ended
  ),
  expiring as (
    insert into ${expiries} as expiries
      (gun, gun_sha256, role, subject, version, made_by, published_at, expires_at)
    select row.* from leader, emptied, unnest(
      ${$[13]}::text[], ${$[14]}::bytea[], ${$[15]}::text[], ${$[16]}::text[], ${$[17]}::bigint[],
      ${$[18]}::text[], ${$[19]}::timestamptz[], ${$[20]}::timestamptz[]
    ) as row
    on conflict (gun_sha256, role, subject) do update
      set version = excluded.version, made_by = excluded.made_by,
        published_at = excluded.published_at, expires_at = excluded.expires_at
      where expiries.version <= excluded.version
  )`;
}

const LAST_COUNTS = `
    on conflict (gun_sha256, role, version) do update
      set sha256 = excluded.sha256, published_at = excluded.published_at, position = excluded.position`;

const WRITE: Readonly<Record<Slot, string>> = {
  a: writeSql(TABLES.a, LAST_COUNTS),
  b: writeSql(TABLES.b, LAST_COUNTS),
};

const WRITE_NEW: Readonly<Record<Slot, string>> = {
  a: writeSql(TABLES.a, ''),
  b: writeSql(TABLES.b, ''),
};

/** SQLSTATE where a row is there already. */
export const UNIQUE_VIOLATION = '23505';
