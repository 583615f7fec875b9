import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createJobKey } from '@scrivener/signing';
import { Client } from 'pg';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import {
  newDatabaseUsers,
  parseDatabaseUsers,
  urlFor,
  type DatabaseRole,
} from '../scripts/database-users.ts';
import { migrateDatabases } from '../scripts/migrate.ts';
import { ensureDatabase } from '../scripts/database.ts';
import { freePort } from '../scripts/processes.ts';
import { findRedis, startRedis, type Redis } from '../scripts/redis.ts';
import { ROOT } from '../scripts/places.ts';

const DATABASE_URL = process.env['DATABASE_URL'];

export type Program = 'api' | 'signer-worker' | 'projector';

/** One running process of ours, that can be killed and started again under the same settings. */
export interface Process {
  readonly pid: number;
  signal(signal: NodeJS.Signals): void;
  /** Waits for the end and gives the exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals>;
  start(): void;
  /** Everything it has logged since it was first started. */
  log(): string;
}

export interface Cluster {
  readonly urls: readonly [string, ...string[]];
  readonly caFile: string;
  /** The superuser's: each program has a login of its own. */
  readonly databaseUrl: string;
  /** Of the signers' database, the superuser's as well. */
  readonly signerDatabaseUrl: string;
  readonly redis: Redis;
  readonly processes: Readonly<Record<Program, readonly Process[]>>;
  /** A configuration file that gives one of our commands this cluster's database. */
  readonly configFile: string;
  /** The same with the login of an API. */
  readonly apiConfigFile: string;
  /** Resolves when every API says that it is healthy. */
  healthy(): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterSize {
  readonly apis?: number;
  readonly workers?: number;
  readonly projectors?: number;
  /** `caching.max_age.current_metadata` of the APIs, in seconds. */
  readonly currentMaxAge?: number;
  /** More settings of the APIs, e.g. their `auth`. */
  readonly server?: object;
  /** Variables of every process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A superuser's URL of the Postgres to use; DATABASE_URL where absent. */
  readonly postgresUrl?: string;
  /** The superuser's URL of a migrated database to run on; it stays when the cluster is stopped. */
  readonly database?: string | undefined;
  /** Whether jobs outlive Redis; they do not where absent. */
  readonly durableQueue?: boolean;
  /** Done once the databases are migrated, before a program starts; with the superuser's URLs. */
  readonly beforeStart?: (urls: {
    readonly server: string;
    readonly signer: string;
  }) => Promise<void>;
}

/**
 * The real programs over databases and a Redis of their own, each in its own process, without Nx in
 * between so that a test can kill exactly one. As in production, all connections are TLS, Redis wants
 * client certificates, and each program may do in its database what it has to, and no more.
 */
export async function startCluster(size: ClusterSize = {}): Promise<Cluster> {
  const { postgresUrl = size.database ?? DATABASE_URL } = size;
  if (postgresUrl === undefined) throw new Error('DATABASE_URL is not set: run this by npm test');
  const { apis = 1, workers = 1, projectors = 1, currentMaxAge, server, environment = {} } = size;
  const { durableQueue = false, beforeStart } = size;
  const directory = mkdtempSync(join(tmpdir(), 'cluster-'));
  const name = randomBytes(4).toString('hex');
  const [databaseUrl, signerUrl] = await Promise.all([
    size.database ?? ensureDatabase(postgresUrl, `e2e_server_${name}`),
    ensureDatabase(postgresUrl, `e2e_signer_${name}`),
  ]);
  const users = parseDatabaseUsers(newDatabaseUsers(`_${name}`));
  await migrateDatabases({ server: databaseUrl, signer: signerUrl }, users);
  await beforeStart?.({ server: databaseUrl, signer: signerUrl });
  const storageOf = (role: DatabaseRole, url: string) => {
    const user = users.find((user) => user.role === role);
    if (user === undefined) throw new Error(`no user for ${role}`);
    return { backend: 'postgres', db_url: urlFor(url, user) };
  };
  mkdirSync(join(directory, 'redis'));
  const redis = await startRedis({
    program: await findRedis(),
    directory: join(directory, 'redis'),
    log: join(directory, 'redis.log'),
    durable: durableQueue,
    tls: true,
  });

  const configure = (file: string, settings: object) => {
    const path = join(directory, file);
    writeFileSync(path, JSON.stringify(settings));
    return path;
  };
  const jobKeyFile = join(directory, 'job-keys');
  writeFileSync(jobKeyFile, `${createJobKey()}\n`, { mode: 0o600 });
  const queueOf = (certificate: string) => ({
    hostname: '127.0.0.1',
    port: redis.port,
    tls_ca_file: CA_FILE,
    tls_client_cert: join(FIXTURES, `${certificate}.crt`),
    tls_client_key: join(FIXTURES, `${certificate}.key`),
    job_key_file: jobKeyFile,
  });
  const logging = { level: 'info' };
  const run = (program: Program, config: string, index: number) =>
    startProcess(program, config, join(directory, `${program}-${index}.log`), environment);

  const ports = await Promise.all(Array.from({ length: apis }, freePort));
  const configFile = configure('projector.json', {
    storage: storageOf('notary_projector', databaseUrl),
    logging,
  });
  const signerConfig = configure('signer.json', {
    storage: { ...storageOf('notary_signer', signerUrl), default_alias: 'e2e' },
    queue: queueOf('notary-signer'),
    logging,
  });
  const processes = {
    api: ports.map((port, index) => {
      const config = configure(`api-${index}.json`, {
        server: {
          http_addr: `127.0.0.1:${port}`,
          tls_cert_file: join(FIXTURES, 'notary-server.crt'),
          tls_key_file: join(FIXTURES, 'notary-server.key'),
        },
        trust_service: { type: 'queue', ...queueOf('notary-server'), key_algorithm: 'ecdsa' },
        storage: storageOf('notary_server', databaseUrl),
        logging,
        caching: { max_age: { current_metadata: currentMaxAge } },
        ...server,
      });
      return run('api', config, index);
    }),
    'signer-worker': Array.from({ length: workers }, (_, index) =>
      run('signer-worker', signerConfig, index),
    ),
    projector: Array.from({ length: projectors }, (_, index) =>
      run('projector', configFile, index),
    ),
  };
  const [first, ...others] = ports.map((port) => `https://localhost:${port}`);
  if (first === undefined) throw new RangeError('a cluster has at least one API');

  const cluster: Cluster = {
    urls: [first, ...others],
    caFile: CA_FILE,
    databaseUrl,
    signerDatabaseUrl: signerUrl,
    redis,
    processes,
    configFile,
    apiConfigFile: join(directory, 'api-0.json'),
    healthy: async () => {
      await Promise.all(cluster.urls.map(isHealthy));
    },
    stop: async () => {
      const all = Object.values(processes).flat();
      for (const process of all) process.signal('SIGKILL');
      await Promise.all(all.map((process) => process.ended()));
      await redis.stop();
      if (size.database !== undefined) await forgetUsers(databaseUrl, users);
      const own = size.database === undefined ? [databaseUrl, signerUrl] : [signerUrl];
      await dropDatabases(postgresUrl, own, users);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await cluster.healthy();
  } catch (error) {
    const logs = Object.values(processes).flatMap((list) => list.map((process) => process.log()));
    await cluster.stop();
    throw new Error(`the cluster did not become healthy:\n${logs.join('\n')}`, { cause: error });
  }
  return cluster;
}

function startProcess(
  program: Program,
  config: string,
  logFile: string,
  environment: Readonly<Record<string, string>>,
): Process {
  const log = openSync(logFile, 'a');
  let child: ChildProcess;
  const start = () => {
    child = spawn(
      process.execPath,
      [
        ...(program === 'api' ? ['--max-semi-space-size=16'] : []), // as everywhere
        '--import=@scrivener/runtime/telemetry',
        join(ROOT, `apps/${program}/src/main.ts`),
        '-config',
        config,
      ],
      {
        cwd: ROOT,
        env: {
          PATH: process.env['PATH'],
          NOTARY_SIGNER_E2E: 'a test passphrase',
          ...environment,
        },
        stdio: ['ignore', log, log],
      },
    );
  };
  start();
  return {
    get pid() {
      if (child.pid === undefined) throw new Error(`${program} was not started`);
      return child.pid;
    },
    signal: (signal) => void child.kill(signal),
    ended: async () => {
      if (child.exitCode !== null) return child.exitCode;
      if (child.signalCode !== null) return child.signalCode;
      const [code, signal] = await once(child, 'exit');
      return code ?? signal;
    },
    start,
    log: () => readFileSync(logFile, 'utf8'),
  };
}

async function isHealthy(url: string): Promise<void> {
  const end = Date.now() + 60_000; // many processes start at once, on few processors
  for (;;) {
    const status = await fetchStatus(`${url}/_notary_server/health`);
    if (status === 200) return;
    if (Date.now() > end) throw new Error(`${url} is not healthy: ${status}`);
    await sleep(50);
  }
}

/** The status of a GET, or why there was none. */
function fetchStatus(url: string): Promise<number | string> {
  return new Promise((resolve) => {
    const get = request(url, { ca: readFileSync(CA_FILE), timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    get.on('timeout', () => get.destroy(new Error('timed out')));
    get.on('error', (error) => resolve(error.message));
    get.end();
  });
}

/** Roles cannot be dropped while a database that stays grants them anything. */
async function forgetUsers(
  url: string,
  users: readonly { readonly name: string }[],
): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  for (const { name } of users) {
    await client.query(`drop owned by ${client.escapeIdentifier(name)}`);
  }
  await client.end();
}

async function dropDatabases(
  superuserUrl: string,
  urls: readonly string[],
  users: readonly { readonly name: string }[],
): Promise<void> {
  const client = new Client({ connectionString: superuserUrl });
  await client.connect();
  for (const url of urls) {
    const name = new URL(url).pathname.slice(1);
    await client.query(`drop database ${client.escapeIdentifier(name)} with (force)`);
  }
  for (const { name } of users) {
    await client.query(`drop role ${client.escapeIdentifier(name)}`);
  }
  await client.end();
}
