import { setTimeout as sleep } from 'node:timers/promises';
import { exchange } from '../tuf-http.ts';
import { createClient, type TortureClient } from './client.ts';
import { nextTargets, readRoot, readTargets, signersOf, type Torment } from './collections.ts';
import { createHistory } from './history.ts';
import { filesOf, startReadProbe, toldOf, type Probed } from './read-probe.ts';
import type { Stack } from './stack.ts';
import {
  beginMany,
  everythingHolds,
  NEVER_STOPPED,
  withStack,
  type Findings,
  type Say,
} from './trial.ts';

export interface OutageOptions {
  /** How long each outage lasts. */
  readonly outageMs: number;
  /** After the return, how long it may take until all is as before. */
  readonly returnMs: number;
  /** How long an answer may take, in milliseconds; `LIMIT` where absent. */
  readonly limitMs?: number;
  /** Every one where absent. */
  readonly only?: readonly OutageName[];
  readonly say: Say;
}

export const OUTAGE_NAMES = [
  'redis killed',
  'redis hangs',
  'redis vanishes',
  'workers killed',
  'workers hang',
  'postgres killed',
  'postgres hangs',
  'postgres vanishes',
] as const;
export type OutageName = (typeof OUTAGE_NAMES)[number];

interface Outage {
  /** Unexpired metadata can be read all the while. */
  readonly readsGoOn: boolean;
  readonly begin: (stack: Stack) => Promise<void> | void;
  readonly end: (stack: Stack) => Promise<void> | void;
}

const OUTAGES: Readonly<Record<OutageName, Outage>> = {
  'redis killed': {
    readsGoOn: true,
    begin: ({ redis }) => redis.kill(),
    end: ({ redis }) => redis.start(),
  },
  'redis hangs': {
    readsGoOn: true,
    begin: ({ redis }) => redis.pause(),
    end: ({ redis }) => redis.resume(),
  },
  'redis vanishes': {
    readsGoOn: true,
    begin: ({ links }) => links.redis.swallow(),
    end: ({ links }) => links.redis.unswallow(),
  },
  'workers killed': {
    readsGoOn: true,
    begin: ({ cluster }) => signalWorkers(cluster, 'SIGKILL'),
    end: ({ cluster }) => startWorkers(cluster),
  },
  'workers hang': {
    readsGoOn: true,
    begin: ({ cluster }) => signalWorkers(cluster, 'SIGSTOP'),
    end: ({ cluster }) => signalWorkers(cluster, 'SIGCONT'),
  },
  'postgres killed': {
    readsGoOn: false,
    begin: ({ postgres }) => postgres.kill(),
    end: ({ postgres }) => postgres.start(),
  },
  'postgres hangs': {
    readsGoOn: false,
    begin: ({ postgres }) => postgres.pause(),
    end: ({ postgres }) => postgres.resume(),
  },
  'postgres vanishes': {
    readsGoOn: false,
    begin: ({ links }) => links.postgres.swallow(),
    end: ({ links }) => links.postgres.unswallow(),
  },
};

function signalWorkers({ processes }: Stack['cluster'], signal: NodeJS.Signals): void {
  for (const worker of processes['signer-worker']) worker.signal(signal);
}

/** Starts them, and resolves when one takes jobs. */
async function startWorkers({ processes }: Stack['cluster']): Promise<void> {
  const workers = processes['signer-worker'];
  const starts = () =>
    workers.reduce((sum, worker) => sum + worker.log().split('taking jobs').length, 0);
  const before = starts();
  for (const worker of workers) worker.start();
  while (starts() === before) await sleep(10);
}

/** Each dependency away, by death and by silence: what is answered meanwhile, and how soon it is over. */
export async function outageScenario(options: OutageOptions): Promise<Findings> {
  const { only = OUTAGE_NAMES, say } = options;
  return withStack({ apis: 2, workers: 2, projectors: 1 }, async (stack) => {
    const torments = await beginMany(stack.urls, 4);
    // Nobody publishes to it, so that what has to be read is known.
    const [quiet] = await beginMany(stack.urls, 1);
    if (quiet === undefined) throw new RangeError('no repository');
    const files = await filesOf(stack.urls[0] ?? '', quiet.gun);
    const figures: string[] = [];
    const wrong: string[] = [];
    for (const name of only) {
      say(name);
      const found = await duringOutage(stack, { torments, files, name }, options);
      for (const line of [...found.figures, ...found.wrong]) say(`  ${line}`);
      figures.push(...found.figures);
      wrong.push(...found.wrong.map((line) => `${name}: ${line}`));
      await sleep(1_000);
    }
    wrong.push(...(await everythingHolds(stack, [...torments, quiet])));
    return { figures, wrong };
  });
}

/** Between two probes of a kind, in milliseconds. */
const PROBE = 100;
/** Between two reads at a fixed rate, in milliseconds. */
const READ = 50;
/** Health has to tell by then, in milliseconds. */
const TOLD = 10_000;

interface Suffering {
  readonly torments: readonly Torment[];
  readonly files: readonly Probed[];
  readonly name: OutageName;
}

async function duringOutage(
  stack: Stack,
  { torments, files, name }: Suffering,
  { outageMs, returnMs, limitMs }: OutageOptions,
): Promise<Findings> {
  const { readsGoOn, begin, end } = OUTAGES[name];
  const history = createHistory();
  const client = createClient(stack.urls, history, NEVER_STOPPED, limitMs);
  const stop = new AbortController();
  const usual = await usualPublish(client, torments, name);
  await begin(stack);
  const away = Date.now();
  const reading = startReadProbe(stack.urls, files, READ);
  const watching = stack.urls.map((url) => watchHealth(url, stop.signal));
  const publishing = torments.map((torment, api) =>
    publishAndTell(client, { api, torment, name: `${name} ${away}` }, stop.signal),
  );
  await sleep(outageMs);
  // Whoever waits is answered before the dependency is back, or is not answered at all.
  const reads = readsGoOn ? await reading.stop() : undefined;
  await end(stack);
  const back = Date.now();
  await sleep(returnMs + 5_000);
  stop.abort();
  const publishes = (await Promise.all(publishing)).flat();
  const health = await Promise.all(watching);
  const allReads = reads ?? (await reading.stop());
  client.close();

  const wrong = history.violations.map(({ rule, detail }) => `${rule}: ${detail}`);
  if (readsGoOn && allReads.others.size > 0) wrong.push('a read of unexpired metadata failed');
  const odd = [...allReads.others.keys()].filter((text) => text !== '503 UNAVAILABLE');
  wrong.push(...odd.map((text) => `a read was answered ${text}`));
  const unhealthyAfter = Math.max(...health.map((looks) => firstOf(looks, 503, away) - away));
  const healthyAfter = Math.max(...health.map((looks) => firstOf(looks, 200, back) - back));
  if (unhealthyAfter > TOLD) wrong.push(`health told after ${unhealthyAfter} ms`);
  if (healthyAfter > TOLD) wrong.push(`health was well again after ${healthyAfter} ms`);
  // Also one that was asked for before and waited.
  const served = publishes.find(({ status, endedAt }) => status === 200 && endedAt >= back);
  const firstAfter = (served?.endedAt ?? Infinity) - back;
  const late = publishes.filter(({ status, startedAt }) => status !== 200 && startedAt > back);
  const lastRefusal = Math.max(0, ...late.map(({ endedAt }) => endedAt - back));
  const fullAfter = Math.max(firstAfter, lastRefusal);
  if (fullAfter > returnMs + usual) wrong.push(`full service ${fullAfter} ms after its return`);
  const answers = [...history.answers].map(([text, times]) => `${times} × ${text}`).join(', ');
  return {
    figures: [
      `${name} for ${outageMs / 1_000} s: slowest answer ${history.slowestMs} ms; health told after ${unhealthyAfter} ms`,
      `  ${toldOf(allReads)}`,
      `  after its return: first publish ${firstAfter} ms (usually ${usual} ms), last refusal of a new one ${lastRefusal} ms, health well ${healthyAfter} ms`,
      `  ${answers}`,
    ],
    wrong,
  };
}

/** How long a publish takes at most while nothing is wrong, in milliseconds. */
async function usualPublish(
  client: TortureClient,
  torments: readonly Torment[],
  name: string,
): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const looks = await Promise.all(
      torments.map((torment, api) =>
        probe(client, { api, torment, name: `before ${name} ${round}` }),
      ),
    );
    times.push(...looks.map(({ startedAt, endedAt }) => endedAt - startedAt));
  }
  return Math.max(...times);
}

/** An answer and when it was asked for. */
interface Look {
  readonly status: number;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** When the first such answer came to who asked after that moment; `Infinity` where none did. */
function firstOf(looks: readonly Look[], wanted: number, after: number): number {
  const found = looks.find(({ status, startedAt }) => status === wanted && startedAt >= after);
  return found?.endedAt ?? Infinity;
}

async function watchHealth(url: string, signal: AbortSignal): Promise<Look[]> {
  const looks: Look[] = [];
  while (!signal.aborted) {
    const startedAt = Date.now();
    const { status } = await exchange('GET', `${url}/_notary_server/health`);
    looks.push({ status, startedAt, endedAt: Date.now() });
    await sleep(PROBE);
  }
  return looks;
}

interface Publishing {
  readonly api: number;
  readonly torment: Torment;
  readonly name: string;
}

async function publishAndTell(
  client: TortureClient,
  publishing: Publishing,
  signal: AbortSignal,
): Promise<Look[]> {
  const looks: Look[] = [];
  for (let round = 0; !signal.aborted; round += 1) {
    looks.push(await probe(client, { ...publishing, name: `${publishing.name} ${round}` }));
    await sleep(PROBE);
  }
  return looks.toSorted((a, b) => a.endedAt - b.endedAt);
}

/** A publish built on what can be read; while nothing can be read, a read. */
async function probe(client: TortureClient, { api, torment, name }: Publishing): Promise<Look> {
  const startedAt = Date.now();
  const root = await client.get(api, torment.gun, 'root.json');
  const targets = await client.get(api, torment.gun, 'targets.json');
  if (root.answer?.status !== 200 || targets.answer?.status !== 200) {
    return { startedAt, endedAt: Date.now(), status: 503 };
  }
  const signers = signersOf(torment, readRoot(root.answer.body), 'targets');
  const part = nextTargets('targets', readTargets(targets.answer.body), name, signers);
  const told = await client.publish(api, torment.gun, [part]);
  // VERSION: the one before was accepted, though its answer was 503.
  const status = told.outcome === 'unknown' ? 503 : 200;
  return { startedAt: told.startedAt, endedAt: told.endedAt, status };
}
