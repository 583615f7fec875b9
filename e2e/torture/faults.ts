import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Process, Program } from '../cluster.ts';
import type { Stopped } from './client.ts';
import { createRandom } from './random.ts';
import type { Stack } from './stack.ts';

export const FAULT_KINDS = ['kill', 'stop', 'skew', 'redis', 'postgres', 'net', 'disk'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** One thing that goes wrong, decided before anything runs. */
export interface Fault {
  /** After the start of the torture, in milliseconds. */
  readonly at: number;
  readonly name: string;
  /** Two faults never happen to the same target at once. */
  readonly target: string;
  /** How long it lasts, in milliseconds. */
  readonly ms: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly kinds: readonly FaultKind[];
  readonly sizes: Readonly<Record<Program, number>>;
}

/** Names of faults by kind. Those that many processes may meet are followed by a colon. */
const NAMES: Readonly<Record<FaultKind, readonly string[]>> = {
  kill: ['kill:'],
  stop: ['stop:'],
  skew: ['skew:'],
  redis: ['redis killed and empty', 'redis flushed', 'redis paused'],
  postgres: [
    'postgres restarted',
    'postgres killed',
    'postgres paused',
    'slow transaction in postgres',
    'append in postgres rolled back',
  ],
  disk: ['disk of postgres full'],
  net: [
    'connections to APIs cut',
    'connections to postgres cut',
    'connections to redis cut',
    'answers of APIs lost',
    'answers of postgres lost',
    'answers of redis lost',
    'packets of postgres vanish',
    'packets of redis vanish',
  ],
};

/** What was broken is left alone for so long, so that there is work to break, in milliseconds. */
const REST = 2_500;

/** Clocks that are further apart than this are somebody's mistake, in milliseconds. */
const LARGEST_SKEW = 2_000;

const PROGRAMS: readonly Program[] = ['api', 'signer-worker', 'projector'];

/** The same seed gives the same plan: what, when, to whom and how long. */
export function planFaults({ seed, seconds, kinds, sizes }: PlanOptions): Fault[] {
  const random = createRandom(seed).fork();
  const plan: Fault[] = [];
  const busyUntil = new Map<string, number>();
  if (kinds.length === 0) return plan;
  const end = seconds * 1_000;
  for (let at = random.between(300, 2_000); at < end; at += random.between(300, 3_000)) {
    const name = random.pick(NAMES[random.pick(kinds)]);
    const program = random.pick(PROGRAMS);
    const index = Math.floor(random.between(0, sizes[program]));
    // Mostly short, now and then longer than anybody waits.
    const ms = Math.round(
      random.between(0, 1) < 0.15 ? random.between(5_000, 13_000) : random.between(50, 3_000),
    );
    const lasting = Math.min(
      name === 'skew:' ? Math.min(ms, LARGEST_SKEW + (ms % 2)) : ms,
      Math.max(500, Math.round(end - at)),
    );
    const isOfProcess = name.endsWith(':');
    const target = isOfProcess
      ? `${program} ${index}`
      : (/postgres|redis|APIs/.exec(name)?.[0] ?? '');
    if (at < (busyUntil.get(target) ?? 0)) continue;
    busyUntil.set(target, at + lasting + REST);
    plan.push({
      at: Math.round(at),
      name: isOfProcess ? `${name.slice(0, -1)} ${program}` : name,
      target,
      ms: lasting,
    });
  }
  return plan;
}

export interface Injector extends Stopped {
  /** How often each fault has happened. */
  readonly happened: ReadonlyMap<string, number>;
  /** Carries out the plan; resolves when everything is up again. */
  run(plan: readonly Fault[], say: (line: string) => void): Promise<void>;
  /** Carries out one fault, after the one that its target still suffers from; resolves when it is over. */
  strike(fault: Omit<Fault, 'at'>): Promise<void>;
}

export function createInjector(stack: Stack): Injector {
  const happened = new Map<string, number>();
  const stops: { readonly api: number; readonly from: number; to: number }[] = [];
  const underWay = new Map<string, Promise<void>>();

  const carryOutAndNote = async ({ name, target, ms }: Omit<Fault, 'at'>) => {
    happened.set(name, (happened.get(name) ?? 0) + 1);
    const stop = /^api (\d+)$/.exec(target);
    const record = { api: Number(stop?.[1] ?? -1), from: Date.now(), to: Infinity };
    if (stop !== null) stops.push(record);
    await carryOut(stack, { name, target, ms });
    record.to = Date.now();
  };
  const strike = (fault: Omit<Fault, 'at'>): Promise<void> => {
    const before = underWay.get(fault.target) ?? Promise.resolve();
    const striking = before.then(() => carryOutAndNote(fault));
    underWay.set(fault.target, striking);
    return striking;
  };

  return {
    happened,
    strike,
    within: (api, from, to) =>
      stops
        .filter((stop) => stop.api === api)
        .reduce(
          (sum, stop) => sum + Math.max(0, Math.min(to, stop.to) - Math.max(from, stop.from)),
          0,
        ),
    run: async (plan, say) => {
      const startedAt = Date.now();
      for (const fault of plan) {
        await sleep(Math.max(0, fault.at - (Date.now() - startedAt)));
        await underWay.get(fault.target);
        say(`${fault.name} (${fault.target}, ${fault.ms} ms)`);
        strike(fault).catch(() => {}); // told below
      }
      await Promise.all(underWay.values());
    },
  };
}

async function carryOut(stack: Stack, { name, target, ms }: Omit<Fault, 'at'>): Promise<void> {
  const [what] = name.split(' ');
  if (what === 'kill' || what === 'stop' || what === 'skew') {
    const process = processOf(stack, target);
    // Whoever starts from now on has that clock, until the next skew.
    if (what === 'skew') stack.setClock(ms % 2 === 0 ? ms : -ms);
    await (what === 'stop' ? stopFor(process, ms) : killFor(process, what === 'kill' ? ms : 0));
    return;
  }
  const dependency = target === 'redis' ? stack.redis : stack.postgres;
  const links = {
    APIs: stack.links.apis,
    postgres: [stack.links.postgres],
    redis: [stack.links.redis],
  }[target as 'APIs' | 'postgres' | 'redis'];
  if (name.startsWith('connections')) {
    for (const link of links) link.cut();
  } else if (name.startsWith('answers')) {
    for (const link of links) link.deafen();
    await sleep(Math.min(ms, 2_000));
    for (const link of links) link.undeafen();
  } else if (name.startsWith('packets')) {
    for (const link of links) link.swallow();
    await sleep(ms);
    for (const link of links) link.unswallow();
  } else if (name.endsWith('flushed')) {
    await stack.flushRedis();
  } else if (name.endsWith('paused')) {
    dependency.pause();
    await sleep(ms);
    dependency.resume();
  } else if (name.startsWith('disk')) {
    await fillDisk(stack, ms);
  } else if (name.startsWith('slow transaction')) {
    await rollBack(stack, 'select pg_current_xact_id()', ms);
  } else if (name.startsWith('append')) {
    // As long as this lasts nobody else can append.
    await rollBack(stack, 'update log_head set position = position + 1', Math.min(ms, 3_000));
  } else if (name.endsWith('restarted')) {
    await dependency.shutDown();
    await dependency.start();
  } else {
    await dependency.kill();
    await sleep(ms);
    await dependency.start();
  }
}

function processOf({ cluster }: Stack, target: string): Process {
  const [program = '', index] = target.split(' ');
  const process = cluster.processes[program as Program][Number(index)];
  if (process === undefined) throw new RangeError(`there is no ${target}`);
  return process;
}

async function rollBack({ cluster }: Stack, statement: string, ms: number): Promise<void> {
  const client = new Client({ connectionString: cluster.databaseUrl });
  client.on('error', () => {}); // of the connection; the query rejects as well
  await client.connect();
  await client.query('begin');
  await client.query(statement);
  await sleep(ms);
  await client.query('rollback');
  await client.end();
}

/** What Postgres says when it cannot make a file longer. */
const DISK_IS_FULL = `
  create function disk_is_full() returns trigger language plpgsql as $$
    begin
      raise exception 'could not extend file "base/5/16384": No space left on device'
        using errcode = '53100', hint = 'Check free disk space.';
    end
  $$`;
const GROWING = ['events', 'files', 'metafiles', 'changefeed'];

/**
 * Refuses all that would make tables grow, as a full disk does, wherever this runs and whoever runs it:
 * the programs get the same error at the same statements. That Postgres itself survives a full disk is
 * Postgres' business.
 */
async function fillDisk({ cluster }: Stack, ms: number): Promise<void> {
  const client = new Client({ connectionString: cluster.databaseUrl });
  client.on('error', () => {}); // of the connection; the query rejects as well
  await client.connect();
  const triggers = GROWING.map(
    (table) => `create trigger full_disk before insert on ${table} execute function disk_is_full()`,
  );
  await client.query(['begin', DISK_IS_FULL, ...triggers, 'commit'].join(';'));
  await sleep(ms);
  await client.query('drop function disk_is_full() cascade');
  await client.end();
}

async function killFor(process: Process, ms: number): Promise<void> {
  process.signal('SIGKILL');
  await process.ended();
  await sleep(ms);
  process.start();
}

async function stopFor(process: Process, ms: number): Promise<void> {
  process.signal('SIGSTOP');
  await sleep(ms);
  process.signal('SIGCONT');
}
