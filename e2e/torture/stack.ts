import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { CA_FILE, FIXTURES } from '../../fixtures/certificates.ts';
import { startPostgres } from '../../scripts/postgres.ts';
import { processesIn, stopProcess } from '../../scripts/processes.ts';
import { findRedis, startRedis } from '../../scripts/redis.ts';
import { startCluster, type Cluster, type ClusterSize } from '../cluster.ts';
import { openLink, type Link } from './link.ts';

/** A server that the programs depend on. */
export interface Dependency {
  /** Of all its processes. */
  pids(): readonly number[];
  /** SIGKILL to each of its processes; resolves when they are gone. */
  kill(): Promise<void>;
  /** Asks it to end, and waits until it has. */
  shutDown(): Promise<void>;
  /** After `kill` or `shutDown`. Resolves when it answers. */
  start(): Promise<void>;
  /** SIGSTOP: connections stay, answers do not come. */
  pause(): void;
  resume(): void;
}

/** The real programs over a Postgres and a Redis that nobody else uses, so both may be killed. */
export interface Stack {
  readonly cluster: Cluster;
  /** Of the APIs, through their links. */
  readonly urls: readonly string[];
  readonly links: {
    readonly apis: readonly Link[];
    readonly postgres: Link;
    readonly redis: Link;
  };
  readonly postgres: Dependency;
  readonly redis: Dependency;
  flushRedis(): Promise<void>;
  /** The clocks of programs that start from now on are ahead by so many milliseconds. */
  setClock(offset: number): void;
  stop(): Promise<void>;
}

/** `offset`: of the clocks that the programs start with. */
export async function startStack(size: ClusterSize, offset = 0): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), 'torture-'));
  chmodSync(folder, 0o755); // as root, Postgres runs as somebody else
  const clock = join(folder, 'clock');
  const setClock = (offset: number) => writeFileSync(clock, String(offset));
  setClock(offset);
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const each of closers.toReversed()) await each();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const database = await startDatabase(folder);
    closers.push(
      () => database.dependency.shutDown(),
      () => database.link.close(),
    );
    const queue = await startQueue(folder);
    closers.push(
      () => queue.dependency.shutDown(),
      () => queue.link.close(),
    );

    const cluster = await startCluster({
      ...size,
      postgresUrl: database.url,
      environment: {
        NOTARY_SERVER_TRUST_SERVICE_PORT: String(queue.link.port),
        NOTARY_SIGNER_QUEUE_PORT: String(queue.link.port),
        NODE_OPTIONS: `--import=${join(import.meta.dirname, 'shifted-clock.ts')}`,
        TORTURE_CLOCK: clock,
        ...size.environment,
      },
    });
    closers.push(() => cluster.stop());
    const apis = await Promise.all(cluster.urls.map((url) => openLink(Number(new URL(url).port))));
    for (const link of apis) closers.push(() => link.close());

    return {
      cluster,
      urls: apis.map(({ port }) => `https://localhost:${port}`),
      links: { apis, postgres: database.link, redis: queue.link },
      postgres: database.dependency,
      redis: queue.dependency,
      setClock,
      flushRedis: () => tellRedis(queue.link.port, 'FLUSHALL'),
      stop: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Durable, unlike that of the other tests: what it has committed has to outlive a SIGKILL. */
async function startDatabase(folder: string) {
  const directory = join(folder, 'postgres');
  const start = () =>
    startPostgres({ directory, log: join(folder, 'postgres.log'), durable: true });
  let postgres = await start();
  const link = await openLink(Number(new URL(postgres.url).port));
  const url = new URL(postgres.url);
  url.port = String(link.port);
  const signal = (name: NodeJS.Signals) => {
    for (const pid of processesIn(directory)) process.kill(pid, name);
  };
  const dependency: Dependency = {
    pids: () => processesIn(directory),
    kill: async () => {
      await Promise.all(processesIn(directory).map((pid) => stopProcess(pid, 'SIGKILL')));
    },
    shutDown: () => postgres.stop(),
    start: async () => {
      postgres = await start();
      link.retarget(Number(new URL(postgres.url).port));
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
  };
  return { url: url.href, link, dependency };
}

/** Keeps nothing on disk, so after each start it is empty. */
async function startQueue(folder: string) {
  const program = await findRedis();
  const start = () =>
    startRedis({
      program,
      directory: join(folder, 'redis'),
      log: join(folder, 'redis.log'),
      durable: false,
      tls: true,
    });
  let redis = await start();
  const link = await openLink(redis.port);
  const dependency: Dependency = {
    pids: () => [redis.pid],
    kill: () => stopProcess(redis.pid, 'SIGKILL'),
    shutDown: () => redis.stop(),
    start: async () => {
      redis = await start();
      link.retarget(redis.port);
    },
    pause: () => void process.kill(redis.pid, 'SIGSTOP'),
    resume: () => void process.kill(redis.pid, 'SIGCONT'),
  };
  return { link, dependency };
}

function tellRedis(port: number, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const files = { ca: CA_FILE, cert: 'notary-server.crt', key: 'notary-server.key' };
    const socket = connectTls(
      {
        port,
        host: '127.0.0.1',
        ca: readFileSync(files.ca),
        cert: readFileSync(join(FIXTURES, files.cert)),
        key: readFileSync(join(FIXTURES, files.key)),
      },
      () => socket.write(`${command}\r\n`),
    );
    socket.once('data', (answer) => {
      socket.destroy();
      if (answer.toString().startsWith('+OK')) resolve();
      else reject(new Error(`${command}: ${answer.toString()}`));
    });
    socket.once('error', reject);
  });
}
