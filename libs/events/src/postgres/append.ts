import { DatabaseError, type Pool } from 'pg';
import type { Draft } from '../draft.ts';
import type { AppendOptions, StreamHead } from '../event-store.ts';
import { bytea, gunDigest } from './digests.ts';
import { gather } from './gather.ts';
import type { Ride, Rider } from './rider.ts';

/** NOTIFY after appends; the payload is the last position, with a mark behind it where `AppendOptions.projects`. */
export const CHANNEL = 'scrivener_appended';
const PROJECTS = ' projects';

/** What a payload says beside the position. */
export function toldBy(payload: string): AppendOptions {
  return { projects: payload.endsWith(PROJECTS) };
}

/** Events that one statement adds at most, and the bytes of their files. */
const MOST_EVENTS = 64;
const MOST_BYTES = 1024 * 1024;

interface Appending {
  readonly head: StreamHead;
  readonly draft: Draft;
  readonly options: AppendOptions;
  /** Of its texts and files. */
  readonly bytes: number;
}

/** The position that an event got; `undefined` where it does not follow its stream's last event. */
type Append = (
  head: StreamHead,
  draft: Draft,
  options: AppendOptions,
) => Promise<number | undefined>;

/**
 * Adds events, those of different streams together where they come together: each commit makes the
 * next one wait, so that many in one cost little more than one alone (ADR 0021). A lone event goes
 * at once. Each has an outcome of its own.
 *
 * Statements are committed by themselves: no connection of ours ever holds the row of `log_head` while
 * the server waits for us, so a client that hangs or dies can stop nobody. The row is locked before
 * anything else is written, hence always in the same order, and given back when all is durable.
 */
export function createAppend(pool: Pool, rider?: Rider): Append {
  const ask = gather<Appending, number | undefined>({
    fits: (chosen, { head, bytes }) =>
      chosen.length < MOST_EVENTS &&
      chosen.every((other) => other.head.gun !== head.gun) &&
      bytes + sum(chosen.map((other) => other.bytes)) <= MOST_BYTES,
    ask: (appending) => insertTogether(pool, appending, rider),
  });
  return (head, draft, options) => ask({ head, draft, options, bytes: bytesOf(draft) });
}

function bytesOf({ files, stored }: Draft): number {
  const texts = stored.gun.length + stored.data.length + stored.cause.length;
  return texts + sum([...files.values()].map(({ byteLength }) => byteLength));
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

async function insertTogether(
  pool: Pool,
  appending: readonly Appending[],
  rider: Rider | undefined,
): Promise<readonly PromiseSettledResult<number | undefined>[]> {
  if (appending.length > 1) {
    try {
      const positions = await insertAll(pool, appending);
      return appending.map((_, index) => ({ status: 'fulfilled', value: positions.get(index) }));
    } catch (error) {
      if (!isAboutOneEvent(error)) throw error;
      // None of them is there. One lost a race or cannot be kept; the others shall not suffer.
    }
  }
  const outcomes: PromiseSettledResult<number | undefined>[] = [];
  for (const each of appending) {
    const ride = appending.length === 1 ? rideOf(each, rider) : undefined;
    const [outcome] = await Promise.allSettled([insertOne(pool, each, ride)]);
    outcomes.push(outcome);
  }
  return outcomes;
}

/** What is wrong with the data, not with the server or the way to it. */
function isAboutOneEvent(error: unknown): boolean {
  return error instanceof DatabaseError && /^2[23]/.test(error.code ?? '');
}

/** Only with what its writer is going to project anyway. */
function rideOf({ draft, options }: Appending, rider: Rider | undefined): Ride | undefined {
  return options.projects === true ? rider?.board(draft.event) : undefined;
}

/** What rides along never keeps an event from being added: where the database refuses both, it goes alone. */
async function insertOne(
  pool: Pool,
  appending: Appending,
  ride: Ride | undefined,
): Promise<number | undefined> {
  const { draft, head, options } = appending;
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
    options.projects === true ? PROJECTS : '',
  ];
  const fileRows: string[] = [];
  for (const [sha256, bytes] of files) {
    values.push(bytea(sha256), bytes);
    fileRows.push(`($${values.length - 1}::bytea, $${values.length}::bytea)`);
  }
  try {
    const name = `append with ${files.size} files${ride === undefined ? '' : ` and ${ride.name}`}`;
    const [row] = await send<{ position: string; live?: boolean | null }>(pool, {
      // prepared once a connection, unless it is a shape that hardly comes twice
      ...(files.size <= 8 && { name }),
      text: appendSql(fileRows, ride, values.length + 1),
      values: ride === undefined ? values : [...values, ...ride.values],
    });
    if (row === undefined) return undefined;
    const position = Number(row.position);
    ride?.arrived(position, row.live ?? undefined);
    return position;
  } catch (error) {
    if (isUniqueViolation(error)) return undefined; // lost a race
    if (ride === undefined || !(error instanceof DatabaseError)) throw error;
    const position = await insertOne(pool, appending, undefined);
    ride.refused(); // it alone, for without it all went well
    return position;
  }
}

/** By the index of each event; those that do not follow their stream's last event have none. */
async function insertAll(
  pool: Pool,
  appending: readonly Appending[],
): Promise<ReadonlyMap<number, number>> {
  const files = appending.flatMap(({ draft }, event) =>
    [...draft.files].map(([sha256, bytes]) => ({ event, sha256, bytes })),
  );
  let start = 1;
  const starts = files.map(({ bytes }) => (start += bytes.byteLength) - bytes.byteLength);
  const rows = await send<{ event: string; position: string }>(pool, {
    name: 'append together',
    text: APPEND_TOGETHER,
    values: [
      appending.map(({ draft }) => draft.stored.gun),
      Buffer.concat(appending.map(({ head }) => gunDigest(head.gun))),
      appending.map(({ draft }) => draft.version),
      appending.map(({ draft }) => draft.stored.type),
      appending.map(({ draft }) => draft.stored.at),
      appending.map(({ draft }) => draft.stored.data),
      appending.map(({ draft }) => draft.stored.cause),
      Buffer.concat(appending.map(({ draft }) => bytea(draft.hash))),
      Buffer.concat(appending.map(({ head }) => bytea(head.hash))),
      files.map(({ event }) => event + 1),
      Buffer.concat(files.map(({ sha256 }) => bytea(sha256))),
      starts,
      files.map(({ bytes }) => bytes.byteLength),
      Buffer.concat(files.map(({ bytes }) => bytes)),
    ],
  });
  return new Map(rows.map(({ event, position }) => [Number(event) - 1, Number(position)]));
}

interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

/** A connection on which something went wrong is not used again, but for a refusal of what was sent. */
async function send<Row extends object>(pool: Pool, statement: Statement): Promise<readonly Row[]> {
  const client = await pool.connect();
  let lost = false;
  try {
    return (await client.query<Row>(statement)).rows;
  } catch (error) {
    lost = !isAboutOneEvent(error);
    throw error;
  } finally {
    client.release(lost);
  }
}

const appendSql = (files: readonly string[], ride: Ride | undefined, next: number) => `
  with head as (
    update log_head set position = position + 1
    where not exists (select from events where gun_sha256 = $2 and version = $3)
      and ($3 = 1 or exists (
        select from events where gun_sha256 = $2 and version = $3 - 1 and hash = $9))
    returning position
  ),
  ${files.length === 0 ? '' : filesSql(files)}
  appended as (
    insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
    select position, $1, $2, $3, $4, $5, $6, $7, $8 from head
    returning position
  )
  ${ride === undefined ? '' : `, ${ride.sql(next)}`}
  select appended.position, pg_notify('${CHANNEL}', appended.position::text || $10::text)
    ${ride === undefined ? 'from appended' : `, ridden.live, ${ride.notify} from appended left join ridden on true`}`;

const filesSql = (files: readonly string[]) => `
  kept as (
    insert into files (sha256, bytes)
    select file.sha256, file.bytes from head, (values ${files.join(', ')}) as file (sha256, bytes)
    on conflict (sha256) do nothing
  ),`;

/** The n-th of the digests that stand behind each other. */
const digestAt = (digests: string, n: string) =>
  `substring(${digests}::bytea from ((${n} - 1) * 32 + 1)::int for 32)`;

/**
 * The same for many events of different streams. Those that fit are chosen first; the row of `log_head`
 * then moves by as many. If another process adds one of theirs between the two, the unique key refuses
 * the whole statement. Bytes travel behind each other, which the driver sends as they are. Each event has
 * its own looks into the index: of a join a plan for a small log would be to read all of it, for as long as
 * the plan is kept.
 */
const APPEND_TOGETHER = `
  with wanted as materialized (
    select event, gun, ${digestAt('$2', 'event')} as gun_sha256, version, type, at, data, cause,
      ${digestAt('$8', 'event')} as hash, ${digestAt('$9', 'event')} as previous
    from unnest($1::text[], $3::int[], $4::text[], $5::timestamptz[], $6::text[], $7::text[])
      with ordinality as wanted (gun, version, type, at, data, cause, event)
  ),
  fitting as materialized (
    select wanted.*, row_number() over (order by event) as place from wanted
    where (
        select true from events
        where events.gun_sha256 = wanted.gun_sha256 and events.version = wanted.version) is null
      and (version = 1 or (
        select events.hash = wanted.previous from events
        where events.gun_sha256 = wanted.gun_sha256 and events.version = wanted.version - 1))
  ),
  head as (
    update log_head set position = position + (select count(*) from fitting)
    where exists (select from fitting)
    returning position - (select count(*) from fitting) as before
  ),
  kept as (
    insert into files (sha256, bytes)
    select ${digestAt('$11', 'file')}, substring($14::bytea from start for length)
    from head, unnest($10::int[], $12::int[], $13::int[])
      with ordinality as named (event, start, length, file)
    where named.event in (select event from fitting)
    on conflict (sha256) do nothing
  ),
  added as (
    insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
    select before + place, gun, gun_sha256, version, type, at, data::json, cause::json, hash
    from head, fitting
    returning position
  )
  select event, before + place as position,
    case when place = (select count(*) from fitting)
      then pg_notify('${CHANNEL}', (before + place)::text) end
  from head, fitting`;

function isUniqueViolation(error: unknown): boolean {
  return error instanceof DatabaseError && error.constraint === 'events_stream_version';
}
