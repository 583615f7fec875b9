import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Client } from 'pg';
import { benchRedis } from './limits/redis.ts';
import type { Figure, Sample } from './series.ts';
import type { BenchPostgres, BenchStack } from './stack.ts';
import type { Contender } from './subject.ts';

const CLIENTS = [1, 16];
const POOL = 64;
/** Until Postgres has added up what its sessions did, in milliseconds. */
const TOLD_AFTER = 1_500;

/** What both stores have done since they were started, and what they hold. */
interface Counts {
  readonly walBytes: number;
  readonly walSyncs: number;
  readonly commits: number;
  readonly databaseBytes: number;
  readonly commands: number;
}

/** What one publish, and one new collection, cost PostgreSQL and Redis: see docs/scaling.md. */
export async function measureCosts(
  { client }: Contender,
  { postgres, redis }: { readonly postgres: BenchPostgres; readonly redis: BenchStack['redis'] },
  seconds: number,
): Promise<Figure[]> {
  await using stores = await openStores(postgres, redis);
  await client.create('costs', POOL, 10);
  const ms = seconds * 1_000;
  const figures: Figure[] = [];
  for (const clients of CLIENTS) {
    const publish = () => client.measure({ do: 'publish', pool: 'costs', clients, ms });
    figures.push(...perOperation(`a publish, ${clients} at a time`, await stores.during(publish)));
    const init = () => client.measure({ do: 'init', files: 10, clients, ms });
    figures.push(
      ...perOperation(`a new collection, ${clients} at a time`, await stores.during(init)),
    );
  }
  const bench = 'costs';
  figures.push({
    bench,
    name: 'Redis: memory, most',
    value: await stores.redisMemory(),
    unit: 'MB',
  });
  return figures;
}

/** Operations of the warm-up cost as much as the others. */
function perOperation(what: string, [{ served = 1 }, before, after]: Told): Figure[] {
  const each = (name: string, of: (counts: Counts) => number, unit: string): Figure => ({
    bench: 'costs',
    name: `${what}: ${name}`,
    value: (of(after) - of(before)) / served,
    unit,
  });
  return [
    each('log written ahead', ({ walBytes }) => walBytes / 1_000, 'kB'),
    each('flushes of it', ({ walSyncs }) => walSyncs, ''),
    each('transactions', ({ commits }) => commits, ''),
    each('growth of the databases', ({ databaseBytes }) => databaseBytes / 1_000, 'kB'),
    each('Redis commands', ({ commands }) => commands, ''),
  ];
}

type Told = readonly [Sample, before: Counts, after: Counts];

interface Stores extends AsyncDisposable {
  during(work: () => Promise<Sample>): Promise<Told>;
  /** The most that it has ever held, in MB. */
  redisMemory(): Promise<number>;
}

async function openStores(postgres: BenchPostgres, redis: BenchStack['redis']): Promise<Stores> {
  const database = new Client({ connectionString: postgres.url });
  await database.connect();
  const queue = new Queue('bench-costs', { connection: benchRedis(redis.port) });
  const info = async (name: string) => {
    const text = await (await queue.getBackend().client).info();
    return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  };
  const count = async (): Promise<Counts> => {
    await sleep(TOLD_AFTER);
    const { rows } = await database.query<Record<keyof Counts, string>>(`
      select
        pg_current_wal_insert_lsn() - '0/0' as "walBytes",
        (select sum(fsyncs) from pg_stat_io where object = 'wal') as "walSyncs",
        (select sum(xact_commit) from pg_stat_database) as commits,
        (select sum(pg_database_size(oid)) from pg_database) as "databaseBytes"`);
    return {
      walBytes: Number(rows[0]?.walBytes),
      walSyncs: Number(rows[0]?.walSyncs),
      commits: Number(rows[0]?.commits),
      databaseBytes: Number(rows[0]?.databaseBytes),
      commands: await info('total_commands_processed'),
    };
  };
  return {
    during: async (work) => {
      const before = await count();
      const sample = await work();
      return [sample, before, await count()];
    },
    redisMemory: async () => (await info('used_memory_peak')) / 1e6,
    [Symbol.asyncDispose]: async () => {
      await database.end();
      await queue.close();
    },
  };
}
