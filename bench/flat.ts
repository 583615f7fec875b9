import type { Side, Work } from './contest.ts';
import type { LoadClient } from './load/load-client.ts';
import { asked, pullPaths, pullsOf, CONNECTIONS } from './reads.ts';
import type { Contender, Subject } from './subject.ts';
import type { Wrk } from './wrk.ts';

const POOL = 32;
/** Collections that are read evenly, out of all. */
export const EVENLY = 20_000;
/** Collections that are read by Zipf, in every database. */
const READ = 1_000;

/** A stack whose database was filled with so many collections. */
export interface Filled extends Contender {
  readonly guns: number;
}

/** The same work in databases of different sizes. */
export async function prepareSizes(
  stacks: readonly Filled[],
  wrk: Wrk,
  seconds: number,
): Promise<Work[]> {
  const reads: Work[] = [];
  const few = new Map<Filled, Side>();
  const all = new Map<Filled, Side>();
  for (const stack of stacks) {
    const { subject, guns } = stack;
    const read = await pullsOf(subject, filledGuns(guns, READ));
    few.set(stack, readSide(wrk, subject, asked(read).flatMap(pullPaths), seconds));
    const even = await pullsOf(subject, filledGuns(guns, EVENLY));
    all.set(stack, readSide(wrk, subject, even.flatMap(pullPaths), seconds));
  }
  reads.push(
    { bench: 'flat', name: `pull reads of ${READ} collections`, sides: [...few.values()] },
    { bench: 'flat', name: 'pull reads of all collections, evenly', sides: [...all.values()] },
  );
  for (const { client } of stacks) await client.create('sizes', POOL, 10);
  const publishes = [1, 16].map((clients) => ({
    bench: 'flat',
    name: `publish c${clients}`,
    sides: stacks.map(({ subject, client }) =>
      publishSide(subject.name, { subject, client }, 'sizes', clients, seconds),
    ),
  }));
  const first = {
    bench: 'flat',
    name: 'first publishes c16',
    sides: stacks.map(({ subject, client }) => ({
      name: subject.name,
      watched: watchedOf(subject, client),
      run: () => client.measure({ do: 'init', files: 10, clients: 16, ms: seconds * 1_000 }),
    })),
  };
  return [...reads, ...publishes, first];
}

/** The same work in collections with one version and with many. */
export async function prepareVersions(
  contender: Contender,
  wrk: Wrk,
  { versions, seconds }: { readonly versions: number; readonly seconds: number },
): Promise<Work[]> {
  const { subject, client } = contender;
  const ages = [
    { pool: 'young', name: 'collections at the start' },
    { pool: 'old', name: `collections with ${versions} versions` },
  ];
  const pulls: Side[] = [];
  for (const { pool, name } of ages) {
    const guns = await client.create(pool, POOL, 10);
    if (pool === 'old') await client.age(pool, versions);
    // They go on while they are read: what is asked for by checksum stays as it is for ever.
    const paths = asked(await pullsOf(subject, guns)).flatMap(pullPaths);
    pulls.push({ ...readSide(wrk, subject, paths, seconds), name });
  }
  return [
    { bench: 'flat', name: 'pull reads', sides: pulls },
    ...[1, 16].map((clients) => ({
      bench: 'flat',
      name: `publish c${clients}, by age`,
      sides: ages.map(({ pool, name }) => publishSide(name, contender, pool, clients, seconds)),
    })),
  ];
}

/** So many of those that a database was filled with, spread over all of them. */
export function filledGuns(guns: number, wanted: number): string[] {
  const count = Math.min(guns, wanted);
  return Array.from(
    { length: count },
    (_, index) => `bench.example/filled/${Math.floor((index * guns) / count)}`,
  );
}

/** In seconds: enough to ask once for each of some thousand files that are not in memory. */
const WARM_UP = 3;

/** Asks for each file first: what was read before has driven it out of memory, if they all fit at all. */
function readSide(wrk: Wrk, subject: Subject, paths: readonly string[], seconds: number): Side {
  const read = (list: readonly string[], duration: number) =>
    wrk.run(subject.url, list, { connections: CONNECTIONS, seconds: duration });
  const files = [...new Set(paths)];
  return {
    name: subject.name,
    watched: subject.watched,
    run: async () => {
      const warmUp = await read(files, WARM_UP);
      const sample = await read(paths, seconds);
      return {
        ...warmUp,
        ...sample,
        failed: warmUp.failed + sample.failed,
        served: warmUp.operations + sample.operations,
      };
    },
  };
}

function publishSide(
  name: string,
  { subject, client }: Contender,
  pool: string,
  clients: number,
  seconds: number,
): Side {
  return {
    name,
    watched: watchedOf(subject, client),
    run: () => client.measure({ do: 'publish', pool, clients, ms: seconds * 1_000 }),
  };
}

function watchedOf(subject: Subject, client: LoadClient) {
  return [...subject.watched, { name: 'client', pid: client.pid }];
}
