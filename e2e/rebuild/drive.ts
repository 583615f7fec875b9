import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { ROOT } from '../../scripts/places.ts';
import { answersTo, pathsOf, withClient, type Sample, type Seen } from '../answers.ts';
import type { Cluster } from '../cluster.ts';
import { createCollection } from '../collection.ts';
import { createRandom } from '../torture/random.ts';
import {
  busy,
  newTally,
  publishUntil,
  readAgain,
  readBusy,
  readFrozen,
  readOthers,
  type Tally,
} from './readers.ts';

export interface DriveOptions {
  readonly seed: number;
  readonly readers: number;
  readonly publishers: number;
  /** Of the repositories that are there already, which are read and not published to. */
  readonly sample: Sample;
  readonly say: (line: string) => void;
}

/** What came of one call of the command. */
export interface Step {
  readonly name: string;
  readonly seconds: number;
  readonly reads: number;
  readonly publishes: number;
  /** What it printed, or that it was killed, and what it had got to. */
  readonly outcome: string;
}

export interface Drive {
  readonly steps: readonly Step[];
  /** Paths whose answers were known before, and compared each time. */
  readonly frozen: number;
  /** Kills that came while the generation was unfinished. */
  readonly kills: number;
  readonly tally: Tally;
}

type State = 'projecting' | 'comparing' | 'other';

/**
 * Rebuilds the read model of a running stack, kills that twice, ends it, goes back and rebuilds again,
 * while readers ask for everything and publishers publish. Nothing of what is wrong is thrown: it is told.
 */
export async function driveRebuild(cluster: Cluster, options: DriveOptions): Promise<Drive> {
  const { seed, readers, publishers, sample, say } = options;
  const { urls, databaseUrl } = cluster;
  const random = createRandom(seed);
  const tally = newTally();

  const frozen = await expectedAnswers(cluster, sample, say);
  const collections = await Promise.all(
    Array.from({ length: publishers }, async () => busy(await createCollection(urls[0]))),
  );
  const stop = new AbortController();
  const load = () => ({ random: random.fork(), tally });
  const { signal } = stop;
  const running = [
    ...Array.from({ length: readers }, () => readFrozen(signal, urls, frozen, load())),
    ...collections.map((one) => publishUntil(signal, urls, one, load())),
    ...Array.from({ length: Math.ceil(readers / 2) }, () => {
      return readBusy(signal, urls, collections, load());
    }),
    readOthers(signal, urls, collections, load()),
  ];

  const steps: Step[] = [];
  const step = async (name: string, work: () => Promise<string>) => {
    const before = { ...tally };
    const startedAt = performance.now();
    const outcome = await work();
    const seconds = (performance.now() - startedAt) / 1_000;
    const reads = tally.reads - before.reads;
    const publishes = tally.publishes - before.publishes;
    steps.push({ name, seconds, reads, publishes, outcome });
    say(
      `${name}: ${outcome}; ${seconds.toFixed(1)} s, ${reads} reads, ${publishes} publishes, ${tally.wrongs} wrong`,
    );
  };
  const command = (...words: string[]) => runCommand(cluster, words);
  let kills = 0;
  try {
    await withClient(databaseUrl, async (client) => {
      for (const state of ['projecting', 'comparing'] as const) {
        await step(`kill -9 while ${state}`, async () => {
          const left = await killWhile(state, cluster, client);
          if (left === 'building') kills += 1;
          return `killed, and left a generation that is ${left}`;
        });
      }
    });
    await step('rebuild, where it was', () => command());
    await step('back', () => command('--back'));
    await step('rebuild anew', () => command('--from-start'));
    await step('back again', () => command('--back'));
    await step('drop', () => command('--drop'));
  } finally {
    await sleep(1_000); // readers that answer from memory may learn of a flip that late
    stop.abort();
    await Promise.all(running);
  }
  const again = await readAgain(urls, collections, tally);
  say(`${again} reads of versions that had been seen; ${tally.wrongs} wrong`);
  return { steps, frozen: frozen.size, kills, tally };
}

/** What each API says, which has to be the same. */
async function expectedAnswers(
  { urls, databaseUrl }: Cluster,
  sample: Sample,
  say: (line: string) => void,
): Promise<ReadonlyMap<string, Seen>> {
  const paths = [
    ...(await pathsOf(databaseUrl, sample)),
    '/v2/_trust/changefeed?change_id=0&records=50',
    '/_notary_server/v1/events?limit=20',
  ];
  const [first, ...others] = await Promise.all(urls.map((url) => answersTo(url, paths)));
  if (first === undefined) throw new RangeError('a cluster has at least one API');
  for (const other of others) {
    for (const [path, answer] of other) {
      if (JSON.stringify(answer) === JSON.stringify(first.get(path))) continue;
      throw new Error(`${path} is answered in two ways before anything was done`);
    }
  }
  const counts = [...Map.groupBy(first.values(), ({ status }) => status)];
  say(
    `${first.size} paths: ${counts.map(([status, all]) => `${all.length} × ${status}`).join(', ')}`,
  );
  const refused = [...first].find(([, { status }]) => status !== 200 && status !== 404);
  if (refused !== undefined) throw new Error(`${refused[0]}: ${JSON.stringify(refused[1])}`);
  return first;
}

/** `projector rebuild`, with the projector's login; what it printed, or how it failed. */
async function runCommand(cluster: Cluster, words: readonly string[]): Promise<string> {
  const { child, output } = start(cluster, [...words, '--json']);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`rebuild ${words.join(' ')} exited ${code}: ${output.text}`);
  return output.text.trim().split('\n').at(-1) ?? '';
}

function start({ configFile }: Cluster, words: readonly string[]) {
  const program = join(ROOT, 'apps/projector/src/rebuild.ts');
  const child = spawn(process.execPath, [program, '-config', configFile, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { text: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output.text += chunk.toString()));
  }
  return { child, output };
}

/** Kills a rebuild when it has got so far; what is beside the live generation afterwards. */
async function killWhile(state: State, cluster: Cluster, client: Client): Promise<string> {
  const { child, output } = start(cluster, []);
  const closed = once(child, 'close');
  while (child.exitCode === null && (await readState(client)) !== state) await sleep(1);
  child.kill('SIGKILL');
  await closed;
  if (child.exitCode !== null && child.exitCode !== 0) {
    throw new Error(`rebuild exited ${child.exitCode}: ${output.text}`);
  }
  const { rows } = await client.query<{ other: string }>('select other from serving');
  return rows[0]?.other ?? '';
}

async function readState(client: Client): Promise<State> {
  const { rows } = await client.query<Record<'other' | 'live' | 'built', string>>(
    `select other, live.position as live, built.position as built
     from serving, projections as live, projections as built where live.live and not built.live`,
  );
  const [row] = rows;
  if (row?.other !== 'building') return 'other';
  const built = Number(row.built);
  // so few events are behind while it compares
  return built < Number(row.live) - 200 ? 'projecting' : 'comparing';
}
