import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { startCluster, type Cluster } from '../e2e/cluster.ts';
import { exchange } from '../e2e/tuf-http.ts';
import { startPostgres } from '../scripts/postgres.ts';
import { fill } from './fill/fill.ts';
import type { Subject } from './subject.ts';
import type { Watched } from './usage.ts';

/** A Postgres of our own that keeps what it has committed. */
export interface BenchPostgres extends Watched {
  /** The superuser's. */
  readonly url: string;
  stop(): Promise<void>;
}

export async function startBenchPostgres(): Promise<BenchPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  chmodSync(folder, 0o755); // as root, Postgres runs as somebody else
  const server = await startPostgres({
    directory: join(folder, 'postgres'),
    log: join(folder, 'postgres.log'),
    durable: true,
  });
  return {
    name: 'postgres',
    pid: server.pid,
    url: server.url,
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Says as little as the servers beside it: the default, and what the old server is measured with. */
const QUIET = { NOTARY_SERVER_LOGGING_LEVEL: 'error', NOTARY_SIGNER_LOGGING_LEVEL: 'error' };

/** What all databases there take on disk. */
export async function databaseBytes(superuserUrl: string): Promise<number> {
  const client = new Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ bytes: string }>(
      'select sum(pg_database_size(oid)) as bytes from pg_database',
    );
    return Number(rows[0]?.bytes);
  } finally {
    await client.end();
  }
}

/** Our programs as in production: one API, one signer worker, one projector, durable stores, TLS. */
export interface BenchStack {
  readonly cluster: Cluster;
  readonly subject: Subject;
  readonly redis: Watched & { readonly port: number };
  stop(): Promise<void>;
}

export interface StackOptions {
  /** Of the subject. */
  readonly name: string;
  readonly postgres: BenchPostgres;
  /** Collections that are there from the start; none where absent. */
  readonly filled?: number;
  /** Of the API; one where absent. */
  readonly processes?: number;
}

export async function startBenchStack({
  name,
  postgres,
  filled = 0,
  processes = 1,
}: StackOptions): Promise<BenchStack> {
  const cluster = await startCluster({
    environment: { ...QUIET, NOTARY_SERVER_SERVER_WORKERS: String(processes) },
    postgresUrl: postgres.url,
    durableQueue: true,
    currentMaxAge: 5,
    beforeStart: async (urls) => {
      if (filled > 0) await fill(urls, filled);
    },
  });
  if (processes > 1) await untilServing(cluster, processes);
  const redis = { name: 'redis', pid: cluster.redis.pid, port: cluster.redis.port };
  const ours = (['api', 'signer-worker', 'projector'] as const).flatMap((program) =>
    cluster.processes[program].map(({ pid }) => ({ name: program, pid })),
  );
  return {
    cluster,
    subject: {
      name,
      url: cluster.urls[0],
      caFile: cluster.caFile,
      watched: [...ours, postgres, redis],
    },
    redis,
    stop: () => cluster.stop(),
  };
}

/** The first of them says that it is healthy while the others still start. */
async function untilServing({ urls }: Cluster, processes: number): Promise<void> {
  for (;;) {
    const { body } = await exchange('GET', `${urls[0]}/metrics`);
    if (body.toString().includes(`\nscrivener_workers ${processes}\n`)) return;
    await sleep(50);
  }
}
