import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gun } from '@scrivener/tuf';
import { Pool } from 'pg';
import { promptly } from '@scrivener/events/postgres';
import type { Memory, Readers } from '../readers.ts';

/** How long a reader may answer from memory after it sent what renewed its row, in milliseconds. */
const LEASE = 2_000;

/** By how much longer a row has to stand still before somebody else removes it. */
const GRACE = 250;

/** Between two renewals. */
const RENEWAL = 500;

/** Between two looks at readers that are behind, at first and at most, in milliseconds. */
const PAUSE = { first: 2, longest: 50 };

/** If more events than this were projected since the last look, all is forgotten. */
const MANY = 5_000;

/** This process among the readers, from the commit of its row on. */
interface Membership {
  readonly instance: string;
  /** Of the read model; another one may have other rows (ADR 0025). */
  readonly generation: number;
  /** Everything up to this event has been forgotten. */
  seen: number;
  /** What the row says about that. */
  told: number;
  /** When the row was last known to be there, by both clocks of this process. */
  renewed: Moment;
}

/** A machine that slept may not have counted that in the first of them; the other may be set. */
interface Moment {
  readonly steady: number;
  readonly wall: number;
}

interface ReaderRow {
  readonly instance: string;
  readonly seen: number;
  readonly renewals: number;
}

interface Look {
  readonly checkpoint: number;
  /** All readers but this process. */
  readonly others: readonly ReaderRow[];
}

export interface PostgresReaders extends Readers {
  /**
   * Resolves when nobody answers any more with what the event at `position`, which is projected, has
   * replaced. Whoever reads what is new waits for that before showing it: or a client could see the new
   * file here and then the old one there, which to it is an attack.
   */
  settled(position: number): Promise<void>;
  /** The projection has reached this position; 0: it was made anew. */
  projected(position: number): void;
  /** Word about projections may have been missed. */
  missed(): void;
  close(): Promise<void>;
}

/**
 * Readers as rows of a table. A row is removed by its owner, or by somebody who saw it stand still for
 * longer than its owner goes on without renewing it; so as long as a renewal finds the row, every
 * writer has waited for this reader, whatever happened in between.
 */
export function postgresReaders(url: string, timeoutMs: number): PostgresReaders {
  // Its own connections: a lease must not run out because downloads wait for theirs.
  const pool = new Pool({
    connectionString: url,
    application_name: 'scrivener readers',
    max: 2,
    connectionTimeoutMillis: timeoutMs,
    // Each look waits for the one before, so one that gets no answer must not hold up the others for long.
    query_timeout: Math.min(timeoutMs, LEASE),
    ...promptly,
  });
  pool.on('error', () => {}); // the next query reports it
  const closing = new AbortController();
  const standing = new Map<string, { readonly renewals: number; readonly since: number }>();
  const memories: Memory[] = [];
  let membership: Membership | undefined;
  let latest: Look | undefined;
  /** Up to this event nobody answers with anything older. */
  let common = 0;
  let living: Promise<void> | undefined;

  const enter = async (): Promise<void> => {
    const instance = randomUUID();
    const renewed = moment();
    const { rows } = await pool.query<{ seen: string; generation: string }>({
      name: 'enter readers',
      text: `insert into readers (instance, seen)
        select $1, position from projections where live
        returning seen, (select generation from serving) as generation`,
      values: [instance],
    });
    const seen = Number(rows[0]?.seen);
    const generation = Number(rows[0]?.generation);
    if (!closing.signal.aborted) membership = { instance, generation, seen, told: seen, renewed };
  };

  const leave = async (): Promise<void> => {
    const left = membership;
    membership = undefined;
    latest = undefined;
    common = 0;
    for (const memory of memories) memory.forgetAll();
    if (left === undefined) return;
    // where this fails, somebody removes it later
    await remove(left.instance).catch(() => {});
  };

  const remove = (instance: string, renewals?: number) =>
    pool.query({
      name: 'remove reader',
      text: 'delete from readers where instance = $1 and renewals = coalesce($2, renewals)',
      values: [instance, renewals],
    });

  const renew = async (member: Membership): Promise<void> => {
    const renewed = moment();
    const { seen } = member;
    const { rowCount } = await pool.query({
      name: 'renew reader',
      text: `update readers set seen = greatest(seen, $2), renewals = renewals + 1
        where instance = $1`,
      values: [member.instance, seen],
    });
    if (membership !== member) return;
    if (rowCount === 0) {
      await leave();
      return;
    }
    // two of these may be under way at once
    if (renewed.steady > member.renewed.steady) member.renewed = renewed;
    member.told = Math.max(member.told, seen);
  };

  const lookNow = async (): Promise<Look> => {
    const member = membership;
    const { rows } = await pool.query<LookRow>({
      name: 'look at readers',
      text: LOOK,
      values: [member?.seen ?? null],
    });
    const [row] = rows;
    if (row === undefined) throw new Error('no generation is live');
    const checkpoint = Number(row.checkpoint);
    if (member !== undefined && member === membership) {
      const isOther = Number(row.generation) !== member.generation;
      if (isOther || checkpoint < member.seen) await leave();
      else takeNote(member, checkpoint, row.changed);
    }
    // A membership that is younger than this look took no note of it: it counts as somebody else's.
    const own = member === membership ? member : undefined;
    const others = row.readers.filter(({ instance }) => instance !== own?.instance);
    watch(others);
    if (own !== undefined && others.length > 0 && own.told < own.seen) {
      void renew(own).catch(() => {}); // the next renewal says it, too
    }
    common = Math.min(checkpoint, ...others.map(({ seen }) => seen));
    return { checkpoint, others };
  };

  const takeNote = (member: Membership, checkpoint: number, row: LookRow['changed']) => {
    const changed = row && new Map(row);
    for (const memory of memories) {
      if (changed === null) memory.forgetAll();
      else memory.forget(changed);
    }
    member.seen = checkpoint;
  };

  const watch = (others: readonly ReaderRow[]) => {
    const there = new Set(others.map(({ instance }) => instance));
    for (const instance of standing.keys()) if (!there.has(instance)) standing.delete(instance);
    for (const { instance, renewals } of others) {
      if (standing.get(instance)?.renewals === renewals) continue;
      standing.set(instance, { renewals, since: performance.now() });
    }
  };

  const look = shared(async () => (latest = await lookNow()));

  /** Unless the look that is under way finds it: whoever projected looks at once, and hears of it besides. */
  const lookFor = async (position: number): Promise<void> => {
    const underWay = look.underWay();
    if (underWay !== undefined) await underWay;
    if (membership !== undefined && position > membership.seen) await look.next();
  };

  const putOut = async (others: readonly ReaderRow[]): Promise<void> => {
    for (const { instance, renewals } of others) {
      const since = standing.get(instance)?.since ?? Infinity;
      if (performance.now() - since > LEASE + GRACE) await remove(instance, renewals);
    }
  };

  const live = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        if (membership === undefined) await enter();
        else await renew(membership);
        await putOut((await look.next()).others);
      } catch {
        // The lease runs out; downloads that need the database say why.
      }
      await sleep(RENEWAL, undefined, { signal: closing.signal }).catch(() => {});
    }
  };

  return {
    join(joining) {
      memories.push(joining);
      living ??= live();
      return { mayAnswer: () => membership !== undefined && isWithinLease(membership.renewed) };
    },

    async seen(position, signal) {
      const underWay = look.underWay();
      if (underWay !== undefined) await underWay; // often that finds what is wanted here
      if (latest !== undefined && isSeen(position, latest)) return;
      for (let pause = PAUSE.first; !signal.aborted; pause = Math.min(pause * 2, PAUSE.longest)) {
        const found = await look.next();
        if (isSeen(position, found)) return;
        await putOut(found.others.filter(({ seen }) => seen < position));
        await sleep(pause, undefined, { signal }).catch(() => {});
      }
    },

    async settled(position) {
      const isSettled = () => position <= common;
      if (isSettled()) return;
      await look.underWay();
      const end = performance.now() + timeoutMs;
      for (let pause = PAUSE.first; !isSettled(); pause = Math.min(pause * 2, PAUSE.longest)) {
        if (performance.now() > end) throw new Error(`readers do not come past event ${position}`);
        const { checkpoint, others } = await look.next();
        const behind = others.filter(({ seen }) => seen < position);
        if (behind.length === 0 || checkpoint < position) return;
        await putOut(behind);
        await sleep(pause);
      }
    },

    projected(position) {
      if (membership === undefined) return;
      if (position === 0) void leave();
      else if (position > membership.seen) void lookFor(position).catch(() => {}); // `live` looks, too
    },

    missed: () => void leave(),

    async close() {
      closing.abort();
      await living;
      await leave();
      await pool.end();
    },
  };
}

interface LookRow {
  readonly checkpoint: string;
  readonly generation: string;
  /** What changed since the given position, and the last event of each; null where that is too much. */
  readonly changed: readonly (readonly [Gun, number])[] | null;
  readonly readers: readonly ReaderRow[];
}

/** One statement, so that what changed is exactly what lies up to the checkpoint. */
const LOOK = `
  select reached.position as checkpoint, (select generation from serving) as generation,
    case
      when $1::bigint is null or reached.position <= $1 then '[]'::json
      when reached.position - $1 <= ${MANY} then (
        select coalesce(json_agg(json_build_array(gun, last)), '[]') from (
          select gun, max(position) as last from events
          where position > $1 and position <= reached.position
          group by gun
        ) as changed
      )
    end as changed,
    (select coalesce(json_agg(readers), '[]') from readers) as readers
  from projections as reached where live`;

function moment(): Moment {
  return { steady: performance.now(), wall: Date.now() };
}

function isWithinLease({ steady, wall }: Moment): boolean {
  return performance.now() - steady < LEASE && Math.abs(Date.now() - wall) < LEASE;
}

/** Whether a look that saw `position` projected found nobody behind it. */
function isSeen(position: number, { checkpoint, others }: Look): boolean {
  return checkpoint >= position && others.every(({ seen }) => seen >= position);
}

interface Shared<Result> {
  /** A run that begins after the call; whoever calls before it begins shares it. */
  next(): Promise<Result>;
  /** Settles as the run does that has begun or is about to; undefined where there is none. */
  underWay(): Promise<unknown> | undefined;
}

function shared<Result>(work: () => Promise<Result>): Shared<Result> {
  let running: Promise<unknown> | undefined;
  let next: Promise<Result> | undefined;
  const begin = () => {
    next = undefined;
    const run = work();
    const over = run
      .catch(() => {})
      .finally(() => {
        if (running === over) running = undefined;
      });
    running = over;
    return run;
  };
  return {
    next: () => (next ??= (running ?? Promise.resolve()).then(begin)),
    underWay: () => next?.catch(() => {}) ?? running,
  };
}
