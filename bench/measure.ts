import { measureBig } from './big.ts';
import { contest, type Work } from './contest.ts';
import { measureCosts } from './costs.ts';
import { EVENLY, filledGuns, prepareSizes, prepareVersions, type Filled } from './flat.ts';
import { openCommitLimit } from './limits/commits.ts';
import { openJobLimit } from './limits/jobs.ts';
import { startLoadClient } from './load/load-client.ts';
import { describeMachine } from './machine.ts';
import { prepareMixed } from './mixed.ts';
import { startOldStack, type OldStack } from './old-stack.ts';
import type { Options } from './options.ts';
import { prepareFirstPublishes, preparePublishes } from './publish.ts';
import { prepareReads } from './reads.ts';
import { prepareReplay } from './replay.ts';
import { OLD_SERVER, type Figure, type Report, type Series } from './series.ts';
import {
  databaseBytes,
  startBenchPostgres,
  startBenchStack,
  type BenchPostgres,
  type BenchStack,
} from './stack.ts';
import { measureStart } from './start.ts';
import type { Contender, ReadContender, Subject } from './subject.ts';
import { findWrk } from './wrk.ts';

type Say = (line: string) => void;

/** Connections that commit at a time; jobs that are under way at a time. */
const COMMITTERS = [1, 8, 32];
const ASKERS = [1, 16, 64];
/** Collections in the smaller database of `flat`. */
const FEW = 1_000;

/** What several parts of the benchmark use, each started when the first of them wants it. */
interface Ground {
  readonly options: Options;
  readonly closers: AsyncDisposableStack;
  readonly say: Say;
  readonly postgres: () => Promise<BenchPostgres>;
}

/** What a part found out. */
interface Findings {
  readonly series?: readonly Series[];
  readonly figures?: readonly Figure[];
}

/**
 * All that was asked for. What is in the same table took turns. When `interrupted` rejects, this stops
 * what it has started and rejects with the same.
 */
export async function measure(
  options: Options,
  say: Say,
  interrupted: Promise<never>,
): Promise<Report> {
  const parts: Findings[] = [];
  const { benches } = options;
  const isOneOf = (...names: readonly string[]) => benches.some((bench) => names.includes(bench));
  const onGround = (work: (ground: Ground) => Promise<Findings>) =>
    withGround(options, say, (ground) => Promise.race([work(ground), interrupted]));
  // One after the other and each on ground of its own: what stands idle costs, too.
  if (isOneOf('reads', 'publish', 'init', 'mixed', 'big', 'costs')) {
    parts.push(await onGround(measureStack));
  }
  if (isOneOf('replay')) parts.push(await onGround(measureReplay));
  if (isOneOf('flat')) parts.push(await onGround(measureFlat));
  if (isOneOf('start')) {
    say('npm start');
    parts.push({ figures: await Promise.race([measureStart(options.runs), interrupted]) });
  }
  return {
    format: 1,
    at: new Date().toISOString(),
    machine: describeMachine(),
    runs: options.runs,
    seconds: options.seconds,
    series: parts.flatMap(({ series = [] }) => series),
    figures: parts.flatMap(({ figures = [] }) => figures),
  };
}

async function withGround(
  options: Options,
  say: Say,
  work: (ground: Ground) => Promise<Findings>,
): Promise<Findings> {
  await using closers = new AsyncDisposableStack();
  const startPostgres = async () => {
    const started = await startBenchPostgres();
    closers.defer(() => started.stop());
    return started;
  };
  let postgres: Promise<BenchPostgres> | undefined;
  // awaited here, or all would be closed at once
  return await work({ options, closers, say, postgres: () => (postgres ??= startPostgres()) });
}

async function measureStack(ground: Ground): Promise<Findings> {
  const { options, closers, say } = ground;
  const { benches, runs, seconds, clients, files, entries } = options;
  const stack =
    options.url === undefined ? await startStack(ground, 'scrivener', options.filled) : undefined;
  const first = await contend(subjectOf(options, stack), closers);
  const contenders: [Contender, ...Contender[]] = [first];
  const old = options.old && stack !== undefined ? await startOld(ground) : undefined;
  if (old !== undefined) contenders.push(old.contender);
  if (options.workers > 1 && stack !== undefined) {
    contenders.push(await startSeveral(ground));
  }

  const load = { contenders, clients, files, seconds };
  const works: Work[] = [];
  const read = isReadBy(benches) ? await readSubjects(ground, contenders) : undefined;
  if (benches.includes('reads') && read !== undefined) {
    const reads = await prepareReads(read, seconds);
    closers.defer(() => reads.close());
    works.push(...reads.works);
  }
  if (benches.includes('publish')) {
    say('publishing the collections that are updated');
    works.push(...(await preparePublishes(load)));
  }
  if (benches.includes('init')) works.push(...prepareFirstPublishes(load));
  if (benches.includes('mixed') && read !== undefined) {
    works.push(...(await prepareMixed(read, seconds)));
  }
  if (stack !== undefined && works.some(({ bench }) => bench === 'publish' || bench === 'init')) {
    works.push(...(await storeLimits(ground, stack)));
  }
  const series = await contest(works, runs, say);
  const figures: Figure[] = [];
  if (old !== undefined) {
    const value = old.stack.restarts();
    figures.push({ bench: OLD_SERVER, name: 'ended, and was started again', value, unit: 'times' });
  }
  if (benches.includes('costs') && stack !== undefined) {
    say('counting what publishes cost the stores');
    const stores = { postgres: await ground.postgres(), redis: stack.redis };
    figures.push(...(await measureCosts(first, stores, seconds)));
  }
  if (benches.includes('big')) {
    say(`publishing targets files with ${entries} entries`);
    figures.push(...(await measureBig(first, { entries, runs, seconds })));
  }
  return { series, figures };
}

function isReadBy(benches: Options['benches']): boolean {
  return benches.includes('reads') || benches.includes('mixed');
}

/** Who is read, and which collections; those that the database was filled with besides, in ours. */
async function readSubjects(
  { options: { collections, filled }, say }: Ground,
  [first, ...others]: readonly [Contender, ...Contender[]],
): Promise<[ReadContender, ...ReadContender[]]> {
  say(`publishing ${collections} collections to read`);
  const published = async (contender: Contender) => ({
    ...contender,
    guns: await contender.client.create('reads', collections, 10),
  });
  const ours = await published(first);
  const read: [ReadContender, ...ReadContender[]] = [
    { ...ours, guns: [...ours.guns, ...filledGuns(filled, EVENLY)] },
  ];
  for (const other of others) read.push(await published(other));
  return read;
}

async function measureReplay({ options, say, postgres }: Ground): Promise<Findings> {
  say(`writing a log of ${options.replayed} collections`);
  const works = await prepareReplay(await postgres(), options.replayed);
  return { series: await contest(works, options.runs, say) };
}

async function measureFlat(ground: Ground): Promise<Findings> {
  const { options, closers, say } = ground;
  const { guns, versions, runs, seconds } = options;
  const wrk = await findWrk();
  closers.defer(() => wrk.close());
  const stacks: Filled[] = [];
  const figures: Figure[] = [];
  for (const filled of [Math.min(FEW, guns), guns]) {
    say(`filling a database with ${filled} collections`);
    const { url } = await ground.postgres();
    const before = await databaseBytes(url);
    const began = performance.now();
    const name = `${filled.toLocaleString('en')} collections`;
    const stack = await startStack(ground, name, filled);
    const figure = (what: string, value: number, unit: string) =>
      figures.push({ bench: 'flat', name: `${name}: ${what}`, value, unit });
    figure('filled, projected, started', (performance.now() - began) / 1_000, 's');
    figure('on disk, each', ((await databaseBytes(url)) - before) / filled / 1_000, 'kB');
    stacks.push({ ...(await contend(stack.subject, closers)), guns: filled });
  }
  const works = await prepareSizes(stacks, wrk, seconds);
  const [small] = stacks;
  if (small !== undefined) {
    say(`publishing ${versions} versions of some collections`);
    works.push(...(await prepareVersions(small, wrk, { versions, seconds })));
  }
  return { series: await contest(works, runs, say), figures };
}

async function startStack(ground: Ground, name: string, filled = 0): Promise<BenchStack> {
  const postgres = await ground.postgres();
  const stack = await startBenchStack({ name, postgres, filled });
  ground.closers.defer(() => stack.stop());
  return stack;
}

/** Our programs once more, but for an API of several processes. */
async function startSeveral({ options, closers, postgres }: Ground): Promise<Contender> {
  const { workers: processes } = options;
  const name = `scrivener, ${processes} processes`;
  const stack = await startBenchStack({ name, postgres: await postgres(), processes });
  closers.defer(() => stack.stop());
  return contend(stack.subject, closers);
}

async function startOld({
  postgres,
  closers,
}: Ground): Promise<{ readonly contender: Contender; readonly stack: OldStack }> {
  const stack = await startOldStack(await postgres());
  closers.defer(() => stack.stop());
  return { contender: await contend(stack.subject, closers), stack };
}

async function contend(subject: Subject, closers: AsyncDisposableStack): Promise<Contender> {
  const client = await startLoadClient(subject.url, subject.caFile);
  closers.defer(() => client.stop());
  return { subject, client };
}

function subjectOf({ url, caFile, watched }: Options, stack: BenchStack | undefined): Subject {
  if (url !== undefined) return { name: 'the server', url, caFile, watched };
  if (stack === undefined) throw new RangeError('neither a server nor a stack');
  return stack.subject;
}

/** What the Postgres and the Redis in use can do at most. */
async function storeLimits(ground: Ground, { redis }: BenchStack): Promise<Work[]> {
  const postgres = await ground.postgres();
  const commits = await openCommitLimit(postgres.url);
  ground.closers.defer(() => commits.close());
  const jobs = await openJobLimit(redis.port);
  ground.closers.defer(() => jobs.close());
  const ms = ground.options.seconds * 1_000;
  const worker = { name: 'worker', pid: jobs.workerPid };
  return [
    ...COMMITTERS.map((count) =>
      limit(`one-row commits, ${count} at a time`, {
        name: 'Postgres',
        watched: [postgres],
        run: () => commits.run(count, ms),
      }),
    ),
    ...ASKERS.map((count) =>
      limit(`job round trips, ${count} at a time`, {
        name: 'BullMQ',
        watched: [redis, worker],
        run: () => jobs.run(count, ms),
      }),
    ),
  ];
}

function limit(name: string, side: Omit<Work['sides'][number], 'isLimit'>): Work {
  return { bench: 'limits', name, sides: [{ ...side, isLimit: true }] };
}
