import { retold, type RecordedEvent } from '@scrivener/events';
import { eventColumns, recordedEvent, type EventRow } from '@scrivener/events/postgres';
import type { Gun } from '@scrivener/tuf';
import type { ClientBase, Pool } from 'pg';
import { changeRows } from '../changefeed.ts';
import { ReadModelError } from '../errors.ts';
import { expiryChanges } from '../expiries.ts';
import { gunDigest } from '../gun-digest.ts';
import { metafileChanges } from '../metafiles.ts';
import type { ProjectedBatch } from '../read-model.ts';
import { bytea } from './digests.ts';

/** Events per batch. */
const BATCH = 500;

/** The row of `projections` that stands for these tables. */
export const PROJECTION = 'repositories';

/** NOTIFY in the transaction of each batch; the payload is the checkpoint. */
export const CHANNEL = 'scrivener_projected';

type Connection = Pick<Pool | ClientBase, 'query'>;

/** The next events, and the checkpoint that they follow. */
interface Batch {
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
 * Projects one batch: reads what follows the checkpoint, then writes rows and checkpoint in one
 * statement that works only if the checkpoint is still what it was.
 *
 * The log never changes, so what was read stays right however long it takes; and as the statement
 * commits by itself, a projector that is killed or stopped between the two holds nothing that
 * another one would have to wait for.
 */
export async function projectBatch(connection: Connection): Promise<Outcome> {
  const startedAt = new Date();
  const batch = await readBatch(connection);
  const last = batch.events.at(-1);
  if (last === undefined) return { result: 'idle' };
  if (!(await writeBatch(connection, batch, last.position))) return { result: 'busy' };
  const result = batch.events.length === BATCH ? 'more' : 'idle';
  return { result, checkpoint: last.position, projected: { events: batch.events, startedAt } };
}

async function readBatch(connection: Connection): Promise<Batch> {
  const { rows } = await connection.query<EventRow & { checkpoint: string }>({
    name: 'read batch',
    text: `select projections.position as checkpoint, event.*
      from projections, lateral (
        select ${eventColumns} from events
        where events.position > projections.position order by events.position limit ${BATCH}
      ) as event
      where projections.name = '${PROJECTION}'
      order by event.position`,
  });
  const checkpoint = Number(rows[0]?.checkpoint ?? 0);
  const events = rows.map(recordedEvent);
  for (const [index, { position }] of events.entries()) {
    if (position !== checkpoint + 1 + index) {
      throw new ReadModelError('LOG_GAP', `the log has no event ${checkpoint + 1 + index}`);
    }
  }
  return { checkpoint, events };
}

/** False, and nothing written, where somebody else works on this projection or was faster. */
async function writeBatch(
  connection: Connection,
  { checkpoint, events }: Batch,
  position: number,
): Promise<boolean> {
  const told = await retold(events, {
    readStream: (gun, after, limit) => readStream(connection, gun, after, limit),
  });
  const { removed, added } = metafileChanges(told);
  const changes = changeRows(events);
  const { current } = expiryChanges(told); // of the same repositories as `removed`
  const { rows } = await connection.query({
    name: 'write batch',
    text: WRITE,
    values: [
      checkpoint,
      position,
      removed.map(gunDigest),
      added.map(({ gun }) => gunDigest(gun)),
      added.map(({ role }) => role),
      added.map(({ version }) => version.toString()),
      added.map(({ sha256 }) => bytea(sha256)),
      added.map(({ publishedAt }) => publishedAt),
      added.map(({ position }) => position),
      changes.map(({ createdAt }) => createdAt),
      changes.map(({ gun }) => gun),
      changes.map(({ gun }) => gunDigest(gun)),
      changes.map(({ version }) => version.toString()),
      changes.map(({ sha256 }) => (sha256 === '' ? null : bytea(sha256))),
      changes.map(({ category }) => category),
      changes.map(({ position }) => position),
      current.map(({ gun }) => gun),
      current.map(({ gun }) => gunDigest(gun)),
      current.map(({ role }) => role),
      current.map(({ subject }) => subject),
      current.map(({ version }) => version.toString()),
      current.map(({ madeBy }) => madeBy),
      current.map(({ publishedAt }) => publishedAt),
      current.map(({ expiresAt }) => expiresAt),
    ],
  });
  return rows.length === 1;
}

async function readStream(
  connection: Connection,
  gun: Gun,
  after: number,
  limit: number | undefined,
): Promise<readonly RecordedEvent[]> {
  const { rows } = await connection.query<EventRow>(
    `select ${eventColumns} from events
     where gun_sha256 = $1 and version > $2 order by version limit $3`,
    [gunDigest(gun), after, limit],
  );
  return rows.map(recordedEvent);
}

/**
 * The row lock on the checkpoint is the leadership. A replay meanwhile moves the checkpoint past this
 * batch, so this statement never meets rows that it cannot see. Rows are added only after those of
 * deleted repositories are gone, for a repository may come back within a batch.
 */
const WRITE = `
  with leader as (
    select from projections
    where name = '${PROJECTION}' and position = $1
    for update skip locked
  ),
  moved as (
    update projections set position = $2 from leader where name = '${PROJECTION}'
    returning position
  ),
  removed as (
    delete from metafiles using leader where gun_sha256 = any($3::bytea[]) returning 1
  ),
  cleared as (
    select count(*) from removed
  ),
  added as (
    insert into metafiles (gun_sha256, role, version, sha256, published_at, position)
    select row.* from leader, cleared, unnest(
      $4::bytea[], $5::text[], $6::bigint[], $7::bytea[], $8::timestamptz[], $9::bigint[]
    ) as row
    on conflict (gun_sha256, role, version) do update
      set sha256 = excluded.sha256, published_at = excluded.published_at, position = excluded.position
  ),
  last as (
    select coalesce(max(id), 0) as id from changefeed
  ),
  fed as (
    insert into changefeed (id, created_at, gun, gun_sha256, version, sha256, category, position)
    select last.id + row.nth, row.created_at, row.gun, row.gun_sha256, row.version, row.sha256,
      row.category, row.position
    from leader, last, unnest(
      $10::timestamptz[], $11::text[], $12::bytea[], $13::bigint[], $14::bytea[], $15::text[],
      $16::bigint[]
    ) with ordinality
      as row (created_at, gun, gun_sha256, version, sha256, category, position, nth)
  ),
  ended as (
    delete from expiries using leader where gun_sha256 = any($3::bytea[]) returning 1
  ),
  emptied as (
    select count(*) from ended
  ),
  expiring as (
    insert into expiries
      (gun, gun_sha256, role, subject, version, made_by, published_at, expires_at)
    select row.* from leader, emptied, unnest(
      $17::text[], $18::bytea[], $19::text[], $20::text[], $21::bigint[], $22::text[],
      $23::timestamptz[], $24::timestamptz[]
    ) as row
    on conflict (gun_sha256, role, subject) do update
      set version = excluded.version, made_by = excluded.made_by,
        published_at = excluded.published_at, expires_at = excluded.expires_at
      where expiries.version <= excluded.version
  )
  select position, pg_notify('${CHANNEL}', position::text) from moved`;
