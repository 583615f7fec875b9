import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster, type Cluster } from '../e2e/cluster.ts';
import { startPostgres } from '../scripts/postgres.ts';
import type { Watched } from './usage.ts';

/** Our programs as in production: one API, one signer worker, one projector, durable stores, TLS. */
export interface BenchStack {
  readonly cluster: Cluster;
  readonly url: string;
  /** The superuser's. */
  readonly postgresUrl: string;
  readonly redisPort: number;
  readonly postgres: Watched;
  readonly redis: Watched;
  /** All of it. */
  readonly watched: readonly Watched[];
  stop(): Promise<void>;
}

export async function startBenchStack(): Promise<BenchStack> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  chmodSync(folder, 0o755); // as root, Postgres runs as somebody else
  const server = await startPostgres({
    directory: join(folder, 'postgres'),
    log: join(folder, 'postgres.log'),
    durable: true,
  });
  try {
    const cluster = await startCluster({
      postgresUrl: server.url,
      durableQueue: true,
      currentMaxAge: 5,
    });
    const postgres = { name: 'postgres', pid: server.pid };
    const redis = { name: 'redis', pid: cluster.redis.pid };
    const { processes } = cluster;
    const ours = (['api', 'signer-worker', 'projector'] as const).flatMap((name) =>
      processes[name].map(({ pid }) => ({ name, pid })),
    );
    return {
      cluster,
      url: cluster.urls[0],
      postgresUrl: server.url,
      redisPort: cluster.redis.port,
      postgres,
      redis,
      watched: [...ours, postgres, redis],
      stop: async () => {
        await cluster.stop();
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
