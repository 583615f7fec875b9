import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun } from '@scrivener/tuf';
import { createClient, type TortureClient } from './client.ts';
import { createTorment, type Torment } from './collections.ts';
import { createInjector, planFaults, type FaultKind, type Injector } from './faults.ts';
import { createHistory, type History } from './history.ts';
import { checkChangefeed, checkDatabase, checkDownloads, checkKeys } from './invariants.ts';
import { readDatabase } from './log.ts';
import { begin, publishOnce, publishTwice, publishUntil } from './publishers.ts';
import { createRandom, type Random } from './random.ts';
import { readState, readUntil } from './readers.ts';
import { startStack, type Stack } from './stack.ts';
import { createUndelete } from './undelete.ts';

export interface LoadOptions {
  readonly seed: number;
  readonly publishers: number;
  readonly readers: number;
  /** How long an answer may take, in milliseconds; `LIMIT` where absent. */
  readonly limitMs?: number;
  readonly say: (line: string) => void;
}

export interface ChaosOptions extends LoadOptions {
  readonly seconds: number;
  readonly faults: readonly FaultKind[];
}

export interface Figures {
  readonly history: History;
  readonly faults: ReadonlyMap<string, number>;
  readonly events: number;
  /** Deletions that were taken back. */
  readonly restorations: number;
  /** Key pairs that the signers made. */
  readonly keys: number;
  readonly statesRead: number;
  readonly statesVerified: number;
  readonly downloads: number;
  /** From the end of the last fault until every API took a publish, in milliseconds. */
  readonly recoveryMs: number;
  /** What the programs logged about answers of 500, each kind once. */
  readonly unforeseen: readonly string[];
}

export const SIZES = { api: 2, 'signer-worker': 2, projector: 2 } as const;

/** Repositories in all, and how many of them are deleted and begun again. */
const STEADY = 4;
const VOLATILE = 2;

/** How long everything may take to be well again, in milliseconds. */
const RECOVERY = 60_000;

/** For so many seconds, every fault of a plan that the seed gives. */
export function runChaos(options: ChaosOptions): Promise<Figures> {
  const { seed, seconds, faults, say } = options;
  const plan = planFaults({ seed, seconds, kinds: faults, sizes: SIZES });
  return runTorture(options, async ({ injector }) => {
    await Promise.all([injector.run(plan, say), sleep(seconds * 1_000)]);
  });
}

/** What a torturer works with. */
export interface Suffering {
  readonly stack: Stack;
  readonly injector: Injector;
  readonly client: TortureClient;
  readonly history: History;
  readonly random: Random;
  /** Every repository there is; a torturer that begins one adds it. */
  readonly torments: Torment[];
}

/**
 * Tortures a stack of its own while many publish and read, lets it recover, and checks everything that
 * was promised.
 */
export async function runTorture(
  options: LoadOptions,
  torture: (under: Suffering) => Promise<void>,
): Promise<Figures> {
  const { seed, publishers, readers, say } = options;
  say('starting Postgres, Redis, 2 APIs, 2 workers, 2 projectors');
  const stack = await startStack({
    apis: SIZES.api,
    workers: SIZES['signer-worker'],
    projectors: SIZES.projector,
  });
  const history = createHistory();
  const injector = createInjector(stack);
  const client = createClient(stack.urls, history, injector, options.limitMs);
  try {
    const startedAt = new Date();
    const random = createRandom(seed);
    const torments = await beginAll(client, history, random);
    const load = { client, history, random, undelete: createUndelete(stack.cluster) };

    const stop = new AbortController();
    const steady = torments.filter(({ isVolatile }) => !isVolatile);
    const volatile = torments.filter(({ isVolatile }) => isVolatile);
    const publishing = Array.from({ length: publishers }, (_, publisher) => {
      // Who deletes works alone, so that it knows what it will find.
      const own = publisher < volatile.length ? volatile.slice(publisher, publisher + 1) : steady;
      return publishUntil(stop.signal, publisher, own, { ...load, random: random.fork() });
    });
    const reading = Array.from({ length: readers }, () =>
      readUntil(stop.signal, torments, { ...load, random: random.fork() }),
    );
    const progress = setInterval(() => say(progressOf(history)), 5_000);
    await torture({ stack, injector, client, history, random: random.fork(), torments });

    say('faults are over, waiting until everything is well');
    const recoveryMs = await recover(client, steady, { history, random });
    stop.abort();
    const [, states] = await Promise.all([Promise.all(publishing), Promise.all(reading)]);
    clearInterval(progress);
    await loseAnswers(stack, steady, load);

    const checked = await checkAll(stack, torments, { client, history, startedAt, say });
    return {
      history,
      faults: injector.happened,
      statesRead: states.reduce((sum, each) => sum + each, 0),
      recoveryMs,
      unforeseen: unforeseenIn(stack),
      ...checked,
    };
  } finally {
    client.close();
    await stack.stop();
  }
}

async function beginAll(
  client: TortureClient,
  history: History,
  random: Random,
): Promise<Torment[]> {
  const run = randomBytes(3).toString('hex');
  const torments = Array.from({ length: STEADY + VOLATILE }, (_, index) => {
    const isVolatile = index >= STEADY;
    const gun = parseGun(`example.com/${run}/${isVolatile ? 'volatile' : 'steady'}-${index}`);
    if (gun === undefined) throw new RangeError('not a GUN');
    return createTorment(gun, isVolatile);
  });
  for (const torment of torments) {
    const told = await begin({ publisher: -1, torment, api: 0 }, { client, history, random });
    if (told?.outcome !== 'accepted') throw new Error(`first publish: ${told?.text}`);
  }
  return torments;
}

function progressOf({ attempts, answers, violations, slowestMs }: History): string {
  const count = (outcome: string) =>
    attempts.filter((attempt) => attempt.outcome === outcome).length;
  const reads = [...answers]
    .filter(([answer]) => answer === 'get 200')
    .reduce((sum, [, times]) => sum + times, 0);
  return `${count('accepted')} publishes accepted, ${count('refused')} refused, ${count('unknown')} unknown; ${reads} downloads; slowest answer ${slowestMs} ms; ${violations.length} violations`;
}

/** Milliseconds until each API has accepted a publish to each repository. */
async function recover(
  client: TortureClient,
  torments: readonly Torment[],
  { history, random }: { readonly history: History; readonly random: Random },
): Promise<number> {
  const startedAt = Date.now();
  const left = () => Date.now() - startedAt < RECOVERY;
  const untilAccepted = async (api: number, torment: Torment) => {
    for (let round = 0; left(); round += 1) {
      const name = `afterwards-${api}-${round}`;
      const task = { publisher: -2, torment, api, name };
      const told = await publishOnce(task, { client, history, random });
      if (told?.outcome === 'accepted') return;
      await sleep(20);
    }
    const detail = `API ${api} took no publish within ${RECOVERY} ms`;
    history.violation({ rule: 'everything is well again by itself', gun: torment.gun, detail });
  };
  await Promise.all(
    [...client.urls.keys()].flatMap((api) =>
      torments.map((torment) => untilAccepted(api, torment)),
    ),
  );
  return Date.now() - startedAt;
}

/** How long the answers of an API are thrown away, in milliseconds: longer than a publish takes. */
const DEAF = 1_500;

/** The answers to publishes that are the only ones are lost: the same bytes again are answered 200. */
async function loseAnswers(
  { links: { apis }, cluster }: Stack,
  torments: readonly Torment[],
  load: { readonly client: TortureClient; readonly history: History; readonly random: Random },
): Promise<void> {
  await cluster.healthy();
  const [link] = apis;
  const tasks = torments.map((torment) => ({ publisher: -3, torment, api: 0, name: 'twice' }));
  await publishTwice(tasks, load, async () => {
    link?.deafen();
    await sleep(DEAF);
    link?.undeafen();
  });
}

interface Inspection {
  readonly client: TortureClient;
  readonly history: History;
  readonly startedAt: Date;
  readonly say: (line: string) => void;
}

async function checkAll(
  stack: Stack,
  torments: readonly Torment[],
  { client, history, startedAt, say }: Inspection,
) {
  await stack.cluster.healthy();
  await arrived(stack);
  const database = await readDatabase(stack.cluster);
  say(`checking ${database.events.length} events against ${history.attempts.length} attempts`);
  const statesVerified = checkDatabase(database, history, startedAt);
  const downloads = await checkDownloads(stack.urls, database, history);
  await checkChangefeed(stack.urls, database, history);
  const listedKeys = new Set(torments.flatMap(({ serverKeys }) => [...serverKeys]));
  checkKeys(database, listedKeys, history);
  for (const torment of torments) {
    for (const api of stack.urls.keys()) {
      const isThere = await readState(torment, api, { client, history });
      if (isThere || torment.isVolatile) continue;
      const detail = `API ${api} has no state of it`;
      history.violation({ rule: 'everything in the log can be read', gun: torment.gun, detail });
    }
  }
  const { events, keys } = database;
  const restorations = events.filter(({ type }) => type === 'RepositoryRestored').length;
  return { events: events.length, restorations, keys: keys.length, statesVerified, downloads };
}

/** What was appended behind an answer that never came may still be on its way to the read model. */
async function arrived({ cluster }: Stack): Promise<void> {
  const end = Date.now() + 10_000;
  for (;;) {
    const { head, checkpoint } = await readDatabase(cluster);
    if (head === checkpoint || Date.now() > end) return;
    await sleep(200);
  }
}

/** Lines about errors that nobody foresaw, without what differs from one to the next. */
function unforeseenIn({ cluster }: Stack): string[] {
  const lines = cluster.processes.api.flatMap((api) => api.log().split('\n'));
  const kinds = new Map<string, string>();
  for (const line of lines.filter((each) => each.includes('unknown error'))) {
    kinds.set(line.replaceAll(/[0-9a-f]{6,}|\d+/g, '#'), line);
  }
  return [...kinds.values()];
}
