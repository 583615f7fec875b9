// The load client: a process of its own, so that what it costs is not taken for the server's. It is
// told what to do by its parent (protocol.ts) and signs updates before it is measured.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PublicKey } from '@scrivener/tuf';
import { Connection, type Answer } from './connection.ts';
import { FORM_TYPE, Owner } from './owner.ts';
import { again } from '../again.ts';
import { quantile } from '../timed.ts';
import type { Sample } from '../series.ts';
import type { Order, Told } from './protocol.ts';

/** Bytes of updates that are signed ahead at most; what is needed beyond that is signed on the way. */
const SIGNED_AHEAD = 96 * 1024 * 1024;
/** Of one client, at most. */
const UPDATES_AHEAD = 400;
/** How many requests are under way while collections are made. */
const MAKERS = 8;
/** Targets in a file from which on one request at a time is load enough. */
const MANY_FILES = 10_000;
/** After a connection that broke, in milliseconds. */
const BROKEN = 100;
/** Before the clock runs, in milliseconds. */
const WARM_UP = 300;

let url = '';
let ca: Buffer = Buffer.alloc(0);
const pools = new Map<string, Writer[]>();

process.on('message', (order: Order) => {
  obey(order).then(tell, (error: unknown) => tell({ ok: false, message: String(error) }));
});
process.on('disconnect', () => process.exit(0));

function tell(told: Told): void {
  process.send?.(told);
}

async function obey(order: Order): Promise<Told> {
  switch (order.do) {
    case 'open':
      ({ url } = order);
      ca = readFileSync(order.caFile);
      return { ok: true };
    case 'create':
      return { ok: true, guns: await createPool(order.pool, order.size, order.files) };
    case 'publish': {
      const writers = dealt(poolOf(order.pool), order.clients);
      signAhead(writers.flat());
      return { ok: true, result: await load(order, (client) => publisher(writers[client] ?? [])) };
    }
    case 'age':
      await age(poolOf(order.pool), order.versions);
      return { ok: true };
    case 'init':
      return { ok: true, result: await load(order, () => initialiser(order.files)) };
    case 'mix': {
      const writers = dealt(poolOf(order.pool), order.clients);
      return {
        ok: true,
        result: await load(order, (client) => mixer(order, client, writers[client] ?? [])),
      };
    }
  }
}

/** An owner, and the updates that it has signed ahead. */
interface Writer {
  readonly owner: Owner;
  readonly ahead: Buffer[];
}

async function createPool(name: string, size: number, files: number): Promise<string[]> {
  const owners: Owner[] = [];
  let toMake = size;
  const makers = files > MANY_FILES ? 1 : MAKERS;
  await Promise.all(
    Array.from({ length: makers }, async () => {
      const connection = new Connection(url, ca);
      while (toMake > 0) {
        toMake -= 1;
        owners.push(await firstPublished(connection, name, files));
      }
      connection.close();
    }),
  );
  pools.set(
    name,
    owners.map((owner) => ({ owner, ahead: [] })),
  );
  return owners.map(({ gun }) => gun);
}

/** A busy server may say 503: nothing is known of that collection then, and another one is made. */
async function firstPublished(connection: Connection, name: string, files: number): Promise<Owner> {
  return again(async () => {
    const owner = new Owner(newGun(name), files);
    mustBe200(await initialise(connection, owner));
    return owner;
  });
}

async function age(writers: readonly Writer[], versions: number): Promise<void> {
  await Promise.all(
    dealt(writers, 2 * MAKERS).map(async (own) => {
      const connection = new Connection(url, ca);
      for (const writer of own) {
        // the first publish made one of them
        for (let made = 1; made < versions; made += 1) await oneMore(connection, writer);
      }
      connection.close();
    }),
  );
}

/** After a failure the next update is sent: nobody knows of this one whether it came to be. */
async function oneMore(connection: Connection, writer: Writer): Promise<void> {
  await again(async () => mustBe200(await publish(connection, writer)));
}

function newGun(name: string): string {
  return `bench.example/${name}/${randomBytes(8).toString('hex')}`;
}

function poolOf(name: string): Writer[] {
  const pool = pools.get(name);
  if (pool === undefined) throw new RangeError(`no pool ${name}`);
  return pool;
}

/** Each client's own collections: no two clients ever write to the same one. */
function dealt(writers: readonly Writer[], clients: number): Writer[][] {
  return Array.from({ length: clients }, (_, client) =>
    writers.filter((_, index) => index % clients === client),
  );
}

function signAhead(writers: readonly Writer[]): void {
  let bytes = writers.reduce((sum, { ahead }) => sum + Buffer.concat(ahead).length, 0);
  const each = Math.ceil((UPDATES_AHEAD * 8) / writers.length);
  for (let round = 0; round < each; round += 1) {
    for (const { owner, ahead } of writers) {
      if (bytes > SIGNED_AHEAD || ahead.length > round) continue;
      const update = owner.nextUpdate();
      bytes += update.length;
      ahead.push(update);
    }
  }
}

/** One client: each call is one operation, and gives what was answered. */
type Operation = () => Promise<Answer>;

function publisher(writers: readonly Writer[]): Client {
  const connection = new Connection(url, ca);
  let turn = 0;
  return {
    operate: () => {
      const writer = writers[turn++ % writers.length];
      if (writer === undefined) throw new RangeError('more clients than collections');
      return publish(connection, writer);
    },
    close: () => connection.close(),
  };
}

function publish(connection: Connection, { owner, ahead }: Writer): Promise<Answer> {
  const body = ahead.shift() ?? owner.nextUpdate();
  return connection.send('POST', owner.path, { type: FORM_TYPE, body });
}

function initialiser(files: number): Client {
  const connection = new Connection(url, ca);
  return {
    operate: () => initialise(connection, new Owner(newGun('init'), files)),
    close: () => connection.close(),
  };
}

/** As the real client: it pings, asks for the keys of both roles, and publishes. */
async function initialise(connection: Connection, owner: Owner): Promise<Answer> {
  const key = async (role: string): Promise<PublicKey> => {
    const { body } = mustBe200(await connection.get(`${owner.path}${role}.key`));
    const { keytype, keyval } = JSON.parse(body.toString()) as {
      keytype: string;
      keyval: { public: string };
    };
    return { keytype, public: keyval.public };
  };
  const keys = { timestamp: await key('timestamp'), snapshot: await key('snapshot') };
  return connection.send('POST', owner.path, { type: FORM_TYPE, body: owner.firstUpdate(keys) });
}

function mixer(
  { paths, publishEvery }: Extract<Order, { do: 'mix' }>,
  client: number,
  writers: readonly Writer[],
): Client {
  const connection = new Connection(url, ca);
  let turn = client * 1_009; // each begins somewhere else
  return {
    operate: () => {
      turn += 1;
      const writer = turn % publishEvery === 0 ? writers[turn % writers.length] : undefined;
      if (writer !== undefined) return publish(connection, writer);
      return connection.get(paths[turn % paths.length] ?? '/');
    },
    close: () => connection.close(),
  };
}

function mustBe200(answer: Answer): Answer {
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body.toString()}`);
  return answer;
}

interface Client {
  readonly operate: Operation;
  close(): void;
}

async function load(
  { clients, ms }: { readonly clients: number; readonly ms: number },
  newClient: (client: number) => Client,
): Promise<Sample> {
  const all = Array.from({ length: clients }, (_, index) => newClient(index));
  const problems: string[] = [];
  let failed = 0;
  const fail = (what: string) => {
    failed += 1;
    problems.push(what);
  };
  const run = async (until: number, durations: number[]) => {
    await Promise.all(
      all.map(async ({ operate }) => {
        while (performance.now() < until) {
          const began = performance.now();
          try {
            const { status, body } = await operate();
            if (status === 200) durations.push(performance.now() - began);
            else fail(`${status} ${body.toString()}`);
          } catch (error) {
            fail(String(error));
            await sleep(BROKEN); // its server may be on its way back
          }
        }
      }),
    );
  };
  const warmUp: number[] = [];
  await run(performance.now() + WARM_UP, warmUp);
  const durations: number[] = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  await run(began + ms, durations);
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  for (const client of all) client.close();
  durations.sort((a, b) => a - b);
  return {
    operations: durations.length,
    seconds,
    failed,
    ...(problems[0] !== undefined && { problem: problems[0].slice(0, 300) }),
    p50: quantile(durations, 0.5),
    p99: quantile(durations, 0.99),
    served: warmUp.length + durations.length,
    ownCpu: { client: (user + system) / Math.max(1, durations.length) },
  };
}
