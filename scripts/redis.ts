import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian.ts';
import { findOnPath, freePort, readPid, startServer, stopProcess, worksIn } from './processes.ts';
import { SetUpError } from './set-up-error.ts';

export interface Redis {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Settles when the server is gone, with the way it ended. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

export interface RedisProgram {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface RedisOptions {
  readonly program: RedisProgram;
  /** Its data, and the pid file by which a left-over server is found. */
  readonly directory: string;
  readonly log: string;
  /** Write every command to an append-only file, so that jobs outlive the server. */
  readonly durable: boolean;
}

/**
 * A Redis or Valkey server program: the installed one, else the copy in `.cache/redis`, which is
 * fetched from Debian when it is not there, which `onFetch` is told. Throws `SetUpError`.
 */
export async function findRedis(onFetch: () => void = () => {}): Promise<RedisProgram> {
  const installed = findOnPath('redis-server') ?? findOnPath('valkey-server');
  if (installed !== undefined) return { command: installed, env: process.env };
  try {
    const unpacked = await unpackDebianPackages({
      name: 'redis',
      packages: ['redis-server', 'redis-tools'],
      librariesOf: 'redis-tools',
      onFetch,
    });
    const processor = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
    const libraries = join(unpacked, 'usr', 'lib', `${processor}-linux-gnu`);
    return {
      command: join(unpacked, 'usr', 'bin', 'redis-server'),
      env: { ...process.env, LD_LIBRARY_PATH: libraries },
    };
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    throw new SetUpError(
      `no redis-server or valkey-server is installed, and ${error.message}: install one, or set REDIS_URL`,
      { cause: error },
    );
  }
}

/**
 * Starts Redis on a free port of 127.0.0.1. A server that a killed run left behind on the same
 * directory is stopped first. It never evicts: a job that vanishes is a publish that hangs.
 */
export async function startRedis(options: RedisOptions): Promise<Redis> {
  const { program, directory, log, durable } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await stopLeftOverRedis(directory);
  const port = await freePort();
  const settings = {
    bind: '127.0.0.1',
    port: String(port),
    dir: directory,
    pidfile: pidFile(directory),
    appendonly: durable ? 'yes' : 'no',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const server = await startServer({
    name: 'Redis',
    command: program.command,
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    log,
    options: { env: program.env },
    isReady: () => answersPing(port),
  });
  return {
    ...server,
    port,
    url: `redis://127.0.0.1:${port}`,
    stop: () => stopProcess(server.pid, 'SIGTERM'),
  };
}

/** Stops the server on that directory, if there is one; it need not be a child of this process. */
export async function stopLeftOverRedis(directory: string): Promise<void> {
  const pid = readPid(pidFile(directory));
  if (pid !== undefined && worksIn(pid, directory)) await stopProcess(pid, 'SIGTERM');
}

function pidFile(directory: string): string {
  return join(directory, 'redis.pid');
}

/** While it loads its data, Redis answers `-LOADING` instead of `+PONG`. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer.toString().startsWith('+PONG'));
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
