import { setTimeout as sleep } from 'node:timers/promises';
import { promptly } from '@scrivener/events/postgres';
import { Client, DatabaseError, Pool } from 'pg';
import { ReadModelError } from '../errors.ts';
import type {
  Difference,
  Generations,
  Other,
  Rebuilt,
  RebuildOptions,
  Serving,
} from '../generations.ts';
import { differencesIn, SHARES, shareOf } from './compare.ts';
import {
  CHANNEL,
  readBehindLive,
  UNIQUE_VIOLATION,
  writeBatch,
  type Batch,
  type Connection,
} from './project.ts';
import { otherSlot, slotOf, TABLES, type Slot } from './slots.ts';

/**
 * Events per batch while the log is projected from its start: the more, the more rows of a repository are
 * written together, and some 50 MB of memory.
 */
const BULK = 20_000;

/** Events per batch that are projected beside other work. */
const ASIDE = 2_000;

/** With so few events to go, what they changed is compared while nobody projects. */
const FEW = 200;

/** How often, and after how many milliseconds each, a flip is tried again where the other one is ahead. */
const TRIES = 50;
const PAUSE = 200;

/** How long a batch for the generation that is kept may take, in milliseconds. */
const LONGEST = 60_000;

/** See `Generations`. Connects at the first use. */
export function postgresGenerations(url: string): Generations {
  const pool = new Pool({ ...connectionTo(url), max: 1, query_timeout: LONGEST });
  pool.on('error', () => {}); // the query that runs into it reports it
  return {
    serving: () => readServing(pool),
    rebuild: (options = {}) => alone(url, (connections) => rebuild(connections, options)),
    back: (options = {}) => alone(url, (connections) => back(connections, options)),
    drop: () => alone(url, ({ work }) => drop(work)),

    async catchUp() {
      const { slot, other } = await readServing(pool);
      if (other.state !== 'kept') return 'idle';
      const batch = await readBehindLive(pool, other.checkpoint, ASIDE);
      if (batch.events.length > 0) await writeBatch(pool, otherSlot(slot), batch);
      return batch.events.length === ASIDE ? 'more' : 'idle';
    },

    close: () => pool.end(),
  };
}

const connectionTo = (url: string) => ({
  connectionString: url,
  application_name: 'scrivener generations',
  ...promptly,
});

/** Each does what it is named after, so that one transaction is not in the way of another. */
interface Connections {
  readonly work: Client;
  readonly read: Client;
  readonly hold: Client;
}

type Steps = Pick<RebuildOptions, 'approve' | 'onProgress'>;

/** Of several at once one works, until its session ends in whatever way; the others are refused. */
async function alone<Result>(
  url: string,
  task: (connections: Connections) => Promise<Result>,
): Promise<Result> {
  const connections = {
    work: new Client(connectionTo(url)),
    read: new Client(connectionTo(url)),
    hold: new Client(connectionTo(url)),
  };
  const all = Object.values(connections);
  for (const client of all) client.on('error', () => {}); // the query that runs into it reports it
  try {
    for (const client of all) await client.connect();
    for (const client of [connections.work, connections.read]) {
      await client.query(`set time zone 'UTC'`);
    }
    const { rows } = await connections.work.query<{ locked: boolean }>(
      `select pg_try_advisory_lock(hashtext('scrivener generations')) as locked`,
    );
    if (rows[0]?.locked !== true) throw new ReadModelError('REBUILDING', 'a rebuild is under way');
    return await task(connections);
  } finally {
    await Promise.allSettled(all.map((client) => client.end())); // rolls back what was not committed
  }
}

async function rebuild(
  connections: Connections,
  { fromStart = false, ...steps }: RebuildOptions,
): Promise<Rebuilt> {
  const slot = await begin(connections.work, fromStart);
  await project(connections, slot, steps);
  const { approve } = steps;
  if (approve === undefined) return makeLive(connections, slot, steps);
  return makeLiveIfSame(connections, slot, { ...steps, approve });
}

async function back(connections: Connections, steps: Steps): Promise<Rebuilt> {
  const { slot, other } = await readServing(connections.work);
  if (other.state !== 'kept') {
    throw new ReadModelError('NOTHING_KEPT', 'there is no former generation to go back to');
  }
  return makeLive(connections, otherSlot(slot), steps);
}

/** Makes room for a new generation, or finds the one that is unfinished: all of it, or nothing. */
async function begin(work: Client, fromStart: boolean): Promise<Slot> {
  return transaction(work, async () => {
    const { rows } = await work.query<{ slot: Slot; other: Other }>(
      'select slot, other from serving for update',
    );
    const [serving] = rows;
    if (serving === undefined) throw new Error('no generation is live');
    const slot = otherSlot(serving.slot);
    if (serving.other === 'building' && !fromStart) return slot;
    await work.query(`update serving
      set other = 'building', other_generation = greatest(generation, other_generation) + 1`);
    await empty(work, slot);
    return slot;
  });
}

async function drop(work: Client): Promise<void> {
  await transaction(work, async () => {
    const { rows } = await work.query<{ slot: Slot }>('select slot from serving for update');
    const [serving] = rows;
    if (serving === undefined) throw new Error('no generation is live');
    await work.query(`update serving set other = 'empty'`);
    await empty(work, otherSlot(serving.slot));
  });
}

async function empty(work: Client, slot: Slot): Promise<void> {
  const { projection, metafiles, changefeed, expiries } = TABLES[slot];
  await work.query('select from projections where name = $1 for update', [projection]);
  for (const table of [metafiles, changefeed, expiries]) await work.query(`delete from ${table}`);
  await work.query('update projections set position = 0 where name = $1', [projection]);
}

/** Projects the log until this generation has got as far as the live one; each batch is there for good. */
async function project(
  { work, read }: Pick<Connections, 'work' | 'read'>,
  slot: Slot,
  { onProgress = () => {} }: Pick<Steps, 'onProgress'> = {},
): Promise<void> {
  let checkpoint = await checkpointOf(work, slot);
  let total = await liveCheckpoint(read);
  let reading = readBehindLive(read, checkpoint, BULK);
  for (;;) {
    const batch = await reading;
    const last = batch.events.at(-1);
    if (last === undefined) return;
    const isEnd = batch.events.length < BULK;
    // The next batch is read while this one is written.
    if (!isEnd) reading = readBehindLive(read, last.position, BULK);
    reading.catch(() => {}); // whoever awaits it hears of it
    // who reads on the same connection is in a transaction, and an error would be the end of that
    const write = work === read ? writeBatch : writeNew;
    const written = await write(work, slot, batch);
    if (written === undefined) await reading.catch(() => {}); // a program of before wrote it
    if (written === undefined || isEnd) {
      checkpoint = await checkpointOf(work, slot);
      total = await liveCheckpoint(read);
      reading = readBehindLive(read, checkpoint, BULK);
    } else {
      checkpoint = last.position;
    }
    onProgress({ phase: 'projecting', done: checkpoint, total: Math.max(total, checkpoint) });
  }
}

/** Of a log in which a version is repeated, which no decision allows, the later one counts. */
async function writeNew(work: Client, slot: Slot, batch: Batch) {
  try {
    return await writeBatch(work, slot, batch, { onlyNew: true });
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== UNIQUE_VIOLATION) throw error;
    return writeBatch(work, slot, batch);
  }
}

async function makeLiveIfSame(
  connections: Connections,
  slot: Slot,
  steps: Steps & Required<Pick<Steps, 'approve'>>,
): Promise<Rebuilt> {
  const { read } = connections;
  let refused = 0;
  let approved = 0;
  const count = async (differences: AsyncIterable<Difference>) => {
    for await (const difference of differences) {
      if (steps.approve(difference)) approved += 1;
      else refused += 1;
    }
  };

  let compared = await meet(connections, slot);
  for (let share = 0; share < SHARES; share += 1) {
    await count(differencesIn(read, slot, shareOf(share)));
    steps.onProgress?.({ phase: 'comparing', done: share + 1, total: SHARES });
  }
  await read.query('commit');
  // What changed meanwhile is compared again, and that takes less time than before.
  for (;;) {
    if (refused > 0) return { result: 'different', differences: refused };
    await project(connections, slot, steps);
    const rebuilt = await flip(connections.work, slot, async (position) => {
      const guns = await gunsBetween(connections.work, compared, position);
      if (guns.length > FEW) return 'no';
      await count(differencesIn(connections.work, slot, { guns }));
      if (refused > 0) return 'no';
      return approved > 0 ? 'perhaps different' : 'the same';
    });
    if (rebuilt !== undefined) return rebuilt;
    if (refused > 0) continue;
    const until = await meet(connections, slot);
    const guns = await gunsBetween(read, compared, until);
    for (let n = 0; n < guns.length; n += FEW) {
      await count(differencesIn(read, slot, { guns: guns.slice(n, n + FEW) }));
    }
    await read.query('commit');
    compared = until;
  }
}

async function makeLive(connections: Connections, slot: Slot, steps: Steps): Promise<Rebuilt> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    await project(connections, slot, steps);
    const rebuilt = await flip(connections.work, slot, async () => 'perhaps different');
    if (rebuilt !== undefined) return rebuilt;
    // Who projected as the last flip came wrote one batch more to what had been live.
    await sleep(PAUSE);
  }
  throw new ReadModelError('REBUILDING', 'somebody else projects it further than what is live');
}

/**
 * Opens a snapshot on `read` in which both generations have got to the same position, which it gives.
 * The live one waits while the other one catches up with a few events, and then goes on.
 */
async function meet({ work, read, hold }: Connections, slot: Slot): Promise<number> {
  await project({ work, read }, slot);
  return transaction(hold, async () => {
    const position = await lockLive(hold);
    await project({ work, read }, slot);
    await read.query('begin isolation level repeatable read read only');
    const reached = await checkpointOf(read, slot); // the snapshot is of this moment
    if (reached > position) throw new ReadModelError('REBUILDING', 'somebody else projects');
    if (reached < position) {
      throw new ReadModelError(
        'LOG_GAP',
        `projected to ${position}, and the log ends at ${reached}`,
      );
    }
    return position;
  });
}

type Verdict = 'no' | 'the same' | 'perhaps different';

/**
 * Makes a generation live in one transaction, from the position at which the other one stands, unless
 * `judge` says no: then nothing changed and there is no answer. Nobody projects meanwhile. Who answers
 * from memory is told to forget, unless the generations are the same.
 */
async function flip(
  work: Client,
  slot: Slot,
  judge: (position: number) => Promise<Verdict>,
): Promise<Rebuilt | undefined> {
  await work.query('begin');
  try {
    await work.query(`set local idle_in_transaction_session_timeout = '10s'`);
    await work.query(`set local lock_timeout = '10s'`);
    const { rows } = await work.query<{ slot: Slot; generation: string }>(
      'select slot, other_generation as generation from serving for update',
    );
    if (rows[0]?.slot !== otherSlot(slot)) {
      throw new ReadModelError('REBUILDING', 'another generation became live meanwhile');
    }
    const position = await lockLive(work);
    await project({ work, read: work }, slot);
    const verdict = (await hasCaughtUp(work, slot, position)) ? await judge(position) : 'no';
    if (verdict === 'no') {
      await work.query('rollback');
      return undefined;
    }
    await work.query('update projections set live = (name = $1)', [TABLES[slot].projection]);
    await work.query(
      `update serving set slot = $1, other = 'kept', generation = other_generation,
         other_generation = generation, since = now()`,
      [slot],
    );
    const generation = Number(rows[0].generation);
    if (verdict !== 'the same') await work.query('select pg_notify($1, $2)', [CHANNEL, '0']);
    await work.query('select pg_notify($1, $2)', [CHANNEL, String(position)]);
    await work.query('commit');
    return { result: 'live', generation, position };
  } catch (error) {
    await work.query('rollback').catch(() => {}); // the connection may be gone
    throw error;
  }
}

async function transaction<Result>(client: Client, work: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = '10s'`);
    // what hangs must not stop the projection for ever
    await client.query(`set local idle_in_transaction_session_timeout = '10s'`);
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {}); // the connection may be gone
    throw error;
  }
}

async function lockLive(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ position: string }>(
    'select position from projections where live for update',
  );
  return Number(rows[0]?.position);
}

async function liveCheckpoint(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ position: string }>(
    'select position from projections where live',
  );
  return Number(rows[0]?.position);
}

async function checkpointOf(connection: Connection, slot: Slot): Promise<number> {
  const { rows } = await connection.query<{ position: string }>(
    'select position from projections where name = $1',
    [TABLES[slot].projection],
  );
  return Number(rows[0]?.position);
}

/** A log that was restored may end before the position that was projected of the one before. */
async function hasCaughtUp(work: Client, slot: Slot, position: number): Promise<boolean> {
  const reached = await checkpointOf(work, slot);
  if (reached >= position) return reached === position;
  const { rows } = await work.query<{ end: string }>(
    'select coalesce(max(position), 0) as end from events',
  );
  return reached === Number(rows[0]?.end);
}

/** Digests of the repositories with events above `after`, up to and with `until`. */
async function gunsBetween(connection: Connection, after: number, until: number) {
  const { rows } = await connection.query<{ gun_sha256: Buffer }>(
    'select distinct gun_sha256 from events where position > $1 and position <= $2',
    [after, until],
  );
  return rows.map(({ gun_sha256 }) => gun_sha256);
}

interface ServingRow {
  readonly slot: Slot;
  readonly other: Other;
  readonly generation: string;
  readonly other_generation: string;
  readonly since_ms: number;
  readonly name: string;
  readonly position: string;
  readonly live: boolean;
}

async function readServing(connection: Connection): Promise<Serving & { readonly slot: Slot }> {
  const { rows } = await connection.query<ServingRow>(
    `select slot, other, generation, other_generation,
       (extract(epoch from since) * 1000)::float8 as since_ms, name, position, live
     from serving, projections where name = any($1)`,
    [[TABLES.a.projection, TABLES.b.projection]],
  );
  const live = rows.find((row) => row.live);
  const other = rows.find((row) => !row.live);
  if (live === undefined || other === undefined) throw new Error('no generation is live');
  return {
    slot: slotOf(live.name),
    generation: Number(live.generation),
    checkpoint: Number(live.position),
    since: new Date(live.since_ms),
    other: {
      state: live.other,
      generation: Number(live.other_generation),
      checkpoint: Number(other.position),
    },
  };
}
