import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun, type PublicKey, type ServerRole } from '@scrivener/tuf';
import { exchange, getFile, getKey, postUpdate } from '../tuf-http.ts';
import { createClient, type TortureClient } from './client.ts';
import {
  createTorment,
  firstParts,
  nextTargets,
  readRoot,
  readTargets,
  signersOf,
  type Torment,
} from './collections.ts';
import { createHistory, type History } from './history.ts';
import { checkChangefeed, checkDatabase, checkDownloads } from './invariants.ts';
import { readDatabase } from './log.ts';
import { startStack, type Stack } from './stack.ts';
import { versionOf } from './verifier.ts';

/** What a scenario measured, and what it found wrong; nothing there is what should be. */
export interface Findings {
  readonly figures: readonly string[];
  readonly wrong: readonly string[];
}

type Say = (line: string) => void;

/** No fault of ours stops an API in the scenarios. */
const NEVER_STOPPED = { within: () => 0 };

const DAY = 86_400_000;

// ---------------------------------------------------------------------------------------- races

export interface RaceOptions {
  readonly publishers: number;
  readonly rounds: number;
  /** How long publishers run freely for the figure of accepted publishes per second. */
  readonly freeMs: number;
  readonly say: Say;
}

/** Many publishers of one role: one winner for each version, the others hear VERSION. */
export async function raceScenario(options: RaceOptions): Promise<Findings> {
  const { publishers, rounds, freeMs, say } = options;
  return withStack({ apis: 2, workers: 2, projectors: 1 }, async (stack) => {
    const { urls } = stack;
    const wrong: string[] = [];
    const [torment] = await beginMany(urls, 1);
    if (torment === undefined) throw new RangeError('no repository');
    const startedAt = Date.now();
    let postingMs = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { targets, signers } = await current(urls[0] ?? '', torment);
      const parts = Array.from({ length: publishers }, (_, publisher) =>
        nextTargets('targets', targets, `race-${round}-${publisher}`, signers),
      );
      const postedAt = Date.now();
      const answers = await Promise.all(
        parts.map((part, index) =>
          postUpdate(urls[index % urls.length] ?? '', torment.gun, [part]),
        ),
      );
      postingMs += Date.now() - postedAt;
      const texts = answers.map(({ status, code }) => `${status} ${code ?? ''}`.trim());
      const winners = texts.filter((text) => text === '200').length;
      if (winners !== 1) wrong.push(`round ${round}: ${winners} winners`);
      const others = texts.filter((text) => text !== '200' && text !== '400 VERSION');
      if (others.length > 0) wrong.push(`round ${round}: ${[...new Set(others)].join(', ')}`);
      if (round % 10 === 9) say(`${round + 1} rounds of ${publishers} publishers`);
    }
    const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
    const few = await acceptedPerSecond(urls, torment, 4, freeMs);
    const many = await acceptedPerSecond(urls, torment, publishers, freeMs);
    wrong.push(...few.wrong, ...many.wrong, ...(await everythingHolds(stack)));
    return {
      figures: [
        `${rounds} rounds of ${publishers} publishers in ${seconds} s: one winner each, the others 400 VERSION; ${Math.round(postingMs / rounds)} ms from the first post of a round to its last answer`,
        `accepted per second: ${few.rate.toFixed(1)} with 4 publishers, ${many.rate.toFixed(1)} with ${publishers} (of ${few.attempts.toFixed(0)} and ${many.attempts.toFixed(0)} posts per second)`,
      ],
      wrong,
    };
  });
}

async function acceptedPerSecond(
  urls: readonly string[],
  torment: Torment,
  publishers: number,
  freeMs: number,
): Promise<{
  readonly rate: number;
  readonly attempts: number;
  readonly wrong: readonly string[];
}> {
  const others = new Set<string>();
  let accepted = 0;
  let posts = 0;
  const startedAt = Date.now();
  const publish = async (publisher: number) => {
    const url = urls[publisher % urls.length] ?? '';
    while (Date.now() - startedAt < freeMs) {
      const { targets, signers } = await current(url, torment);
      const name = `free-${publishers}-${publisher}-${targets.version}`;
      const part = nextTargets('targets', targets, name, signers);
      const { status, code } = await postUpdate(url, torment.gun, [part]);
      posts += 1;
      if (status === 200) accepted += 1;
      else if (code !== 'VERSION') others.add(`${status} ${code}`);
    }
  };
  await Promise.all(Array.from({ length: publishers }, (_, publisher) => publish(publisher)));
  const seconds = (Date.now() - startedAt) / 1_000;
  const [rate, attempts] = [accepted / seconds, posts / seconds];
  return { rate, attempts, wrong: [...others].map((text) => `${publishers} publishers: ${text}`) };
}

// -------------------------------------------------------------------------------------- expired

export interface ExpiredOptions {
  readonly readers: number;
  readonly repositories: number;
  readonly say: Say;
}

/**
 * Timestamps that expired because nobody renewed them: published while the clocks of all programs
 * stood three weeks ago, then read by many at once under the true time, with renewal switched off.
 */
export async function expiredScenario(options: ExpiredOptions): Promise<Findings> {
  const { readers, repositories, say } = options;
  const size = {
    apis: 2,
    workers: 1,
    projectors: 1,
    server: { renewal: { enabled: false } },
  };
  return withStack(
    size,
    async (stack) => {
      const { cluster, urls } = stack;
      const torments = await beginMany(urls, repositories, new Date(Date.now() - 21 * DAY));
      say(`${repositories} repositories published three weeks ago; back to the present`);
      stack.setClock(0);
      const processes = Object.values(cluster.processes).flat();
      for (const process of processes) process.signal('SIGKILL');
      await Promise.all(processes.map((process) => process.ended()));
      for (const process of processes) process.start();
      await cluster.healthy();

      const wrong: string[] = [];
      const times: number[] = [];
      for (const { gun } of torments) {
        const startedAt = Date.now();
        const answers = await Promise.all(
          Array.from({ length: readers }, (_, reader) =>
            getFile(urls[reader % urls.length] ?? '', gun, 'timestamp.json'),
          ),
        );
        times.push(Date.now() - startedAt);
        const seen = new Set(
          answers.map(({ status, body }) => (status === 200 ? versionOf(body) : `${status}`)),
        );
        if (seen.size !== 1 || !seen.has(2)) wrong.push(`${gun}: ${[...seen].join(', ')}`);
      }
      const { events } = await readDatabase(cluster);
      const renewals = events.filter(({ type }) => type === 'RoleRenewed').length;
      if (renewals !== repositories) wrong.push(`${renewals} renewals of ${repositories}`);
      wrong.push(...(await everythingHolds(stack)));
      const slowest = Math.max(...times);
      return {
        figures: [
          `${readers} readers at once of each of ${repositories} expired timestamps: ${readers * repositories} × 200, ${renewals} new versions; slowest round ${slowest} ms`,
        ],
        wrong,
      };
    },
    -21 * DAY,
  );
}

// --------------------------------------------------------------------------------- dependencies

export interface OutageOptions {
  /** How long each outage lasts. */
  readonly outageMs: number;
  readonly say: Say;
}

interface Outage {
  readonly name: string;
  /** Unexpired metadata can be read all the while. */
  readonly readsGoOn: boolean;
  readonly begin: (stack: Stack) => Promise<void> | void;
  readonly end: (stack: Stack) => Promise<void> | void;
}

const OUTAGES: readonly Outage[] = [
  {
    name: 'redis killed',
    readsGoOn: true,
    begin: ({ redis }) => redis.kill(),
    end: ({ redis }) => redis.start(),
  },
  {
    name: 'redis hangs',
    readsGoOn: true,
    begin: ({ redis }) => redis.pause(),
    end: ({ redis }) => redis.resume(),
  },
  {
    name: 'workers hang',
    readsGoOn: true,
    begin: ({ cluster }) => signalWorkers(cluster, 'SIGSTOP'),
    end: ({ cluster }) => signalWorkers(cluster, 'SIGCONT'),
  },
  {
    name: 'postgres killed',
    readsGoOn: false,
    begin: ({ postgres }) => postgres.kill(),
    end: ({ postgres }) => postgres.start(),
  },
  {
    name: 'postgres hangs',
    readsGoOn: false,
    begin: ({ postgres }) => postgres.pause(),
    end: ({ postgres }) => postgres.resume(),
  },
];

function signalWorkers({ processes }: Stack['cluster'], signal: NodeJS.Signals): void {
  for (const worker of processes['signer-worker']) worker.signal(signal);
}

/** Each dependency away, by death and by silence: what is answered meanwhile, and how soon it is over. */
export async function outageScenario({ outageMs, say }: OutageOptions): Promise<Findings> {
  return withStack({ apis: 2, workers: 2, projectors: 1 }, async (stack) => {
    const torments = await beginMany(stack.urls, 4);
    const figures: string[] = [];
    const wrong: string[] = [];
    for (const outage of OUTAGES) {
      say(outage.name);
      const found = await duringOutage(stack, torments, outage, outageMs);
      figures.push(...found.figures);
      wrong.push(...found.wrong);
      await sleep(1_000);
    }
    wrong.push(...(await everythingHolds(stack)));
    return { figures, wrong };
  });
}

/** Between two probes of a kind, in milliseconds. */
const PROBE = 100;

async function duringOutage(
  stack: Stack,
  torments: readonly Torment[],
  { name, readsGoOn, begin, end }: Outage,
  outageMs: number,
): Promise<Findings> {
  const history = createHistory();
  const client = createClient(stack.urls, history, NEVER_STOPPED);
  const stop = new AbortController();
  const wrong: string[] = [];
  const publishes: { readonly startedAt: number; readonly endedAt: number; ok: boolean }[] = [];

  await begin(stack);
  const away = Date.now();
  let unhealthyAfter: number | undefined;
  const publishing = torments.map(async (torment, index) => {
    for (let round = 0; !stop.signal.aborted; round += 1) {
      const told = await probe(client, index, torment, `${name} ${away} ${round}`);
      if (told !== undefined) publishes.push(told);
      await sleep(PROBE);
    }
  });
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const told = await exchange('GET', `${stack.urls[0]}/_notary_server/health`);
      if (told.status !== 200) unhealthyAfter ??= Date.now() - away;
      await sleep(PROBE);
    }
  })();
  await sleep(outageMs);
  const reads = [...history.answers].filter(([text]) => text.startsWith('get '));
  await end(stack);
  const back = Date.now();
  await sleep(6_000);
  stop.abort();
  await Promise.all([...publishing, watching]);
  client.close();

  const failed = reads.filter(([text]) => text !== 'get 200');
  if (readsGoOn && failed.length > 0) wrong.push(`${name}: ${failed.flat().join(' ')}`);
  if (unhealthyAfter === undefined || unhealthyAfter > 10_000) {
    wrong.push(`${name}: health was not told within 10 s`);
  }
  wrong.push(...history.violations.map(({ rule, detail }) => `${name}: ${rule}: ${detail}`));
  const first = Math.min(
    ...publishes.filter(({ ok, endedAt }) => ok && endedAt > back).map(({ endedAt }) => endedAt),
  );
  const lastFailure = Math.max(
    back,
    ...publishes
      .filter(({ ok, startedAt }) => !ok && startedAt > back)
      .map(({ endedAt }) => endedAt),
  );
  const answers = [...history.answers].map(([text, times]) => `${times} × ${text}`).join(', ');
  return {
    figures: [
      `${name} for ${outageMs / 1_000} s: slowest answer ${history.slowestMs} ms; unhealthy after ${unhealthyAfter} ms; first publish ${first - back} ms and last refusal of a new one ${lastFailure - back} ms after its return`,
      `  ${answers}`,
    ],
    wrong,
  };
}

/** A publish built on what can be read; while nothing can be read, a read. */
async function probe(client: TortureClient, api: number, torment: Torment, name: string) {
  const startedAt = Date.now();
  const root = await client.get(api, torment.gun, 'root.json');
  const targets = await client.get(api, torment.gun, 'targets.json');
  if (root.answer?.status !== 200 || targets.answer?.status !== 200) {
    return { startedAt, endedAt: Date.now(), ok: false };
  }
  const signers = signersOf(torment, readRoot(root.answer.body), 'targets');
  const part = nextTargets('targets', readTargets(targets.answer.body), name, signers);
  const told = await client.publish(api, torment.gun, [part]);
  // VERSION: the one before was accepted, though its answer was 503.
  const ok = told.outcome !== 'unknown';
  return { startedAt: told.startedAt, endedAt: told.endedAt, ok };
}

// ---------------------------------------------------------------------------------------- common

async function withStack(
  size: Parameters<typeof startStack>[0],
  work: (stack: Stack) => Promise<Findings>,
  offset = 0,
): Promise<Findings> {
  const stack = await startStack(size, offset);
  try {
    return await work(stack);
  } finally {
    await stack.stop();
  }
}

async function beginMany(urls: readonly string[], count: number, now?: Date): Promise<Torment[]> {
  const run = randomBytes(3).toString('hex');
  const torments: Torment[] = [];
  for (let index = 0; index < count; index += 1) {
    const url = urls[index % urls.length] ?? '';
    const gun = parseGun(`example.com/${run}/${index}`);
    if (gun === undefined) throw new RangeError('not a GUN');
    const torment = createTorment(gun, false);
    const key = (role: ServerRole): Promise<PublicKey> => getKey(url, gun, role);
    const serverKeys = { timestamp: await key('timestamp'), snapshot: await key('snapshot') };
    const { status, body } = await postUpdate(url, gun, firstParts(torment, serverKeys, now));
    if (status !== 200) throw new Error(`first publish: ${status} ${body.toString()}`);
    torments.push(torment);
  }
  return torments;
}

async function current(url: string, torment: Torment) {
  const [root, targets] = await Promise.all([
    getFile(url, torment.gun, 'root.json'),
    getFile(url, torment.gun, 'targets.json'),
  ]);
  return {
    targets: readTargets(targets.body),
    signers: signersOf(torment, readRoot(root.body), 'targets'),
  };
}

/** The invariants of the log, the read model and the downloads; what they found. */
async function everythingHolds({ cluster, urls }: Stack): Promise<string[]> {
  const history: History = createHistory();
  await sleep(1_000); // what was answered 503 may have been appended all the same
  const database = await readDatabase(cluster);
  checkDatabase(database, history, new Date(0));
  await checkDownloads(urls, database, history);
  await checkChangefeed(urls, database, history);
  return history.violations.map(({ rule, gun = '', detail }) => `${rule}: ${gun} ${detail}`);
}
