import { mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
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
  /**
   * Speak nothing but TLS, with the certificates of development, and to nobody without one of them;
   * plain TCP where absent.
   */
  readonly tls?: boolean;
}

/**
 * A Redis or Valkey server program: the installed one, else the copy in `.cache/redis`, which is
 * fetched from Debian when it is not there, which `onFetch` is told. Throws `SetUpError`.
 */
export async function findRedis(onFetch: () => void = () => {}): Promise<RedisProgram> {
  const installed = findOnPath('redis-server') ?? findOnPath('valkey-server');
  if (installed !== undefined) return { command: installed, env: process.env };
  try {
    const unpacked = await unpackRedis(onFetch);
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

/** The folder with Debian's Redis and all that it needs. Throws `SetUpError`. */
export function unpackRedis(onFetch: () => void = () => {}): Promise<string> {
  return unpackDebianPackages({
    name: 'redis',
    packages: ['redis-server', 'redis-tools'],
    librariesOf: 'redis-tools',
    onFetch,
  });
}

/**
 * Starts Redis on a free port of 127.0.0.1. A server that a killed run left behind on the same
 * directory is stopped first. It never evicts: a job that vanishes is a publish that hangs.
 */
export async function startRedis(options: RedisOptions): Promise<Redis> {
  const { program, directory, log, durable, tls = false } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await stopLeftOverRedis(directory);
  const port = await freePort();
  const settings = {
    bind: '127.0.0.1',
    ...(tls ? tlsSettings(port) : { port: String(port) }),
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
    isReady: () => answersPing(port, tls),
  });
  return {
    ...server,
    port,
    url: `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
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

function tlsSettings(port: number): Record<string, string> {
  return {
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': join(FIXTURES, 'redis.crt'),
    'tls-key-file': join(FIXTURES, 'redis.key'),
    'tls-ca-cert-file': CA_FILE,
    'tls-auth-clients': 'yes',
  };
}

/** While it loads its data, Redis answers `-LOADING` instead of `+PONG`. */
function answersPing(port: number, tls: boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = () => socket.write('PING\r\n');
    const socket = tls
      ? connectTls({ port, host: '127.0.0.1', ...clientTls() }, ping)
      : connect(port, '127.0.0.1', ping);
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer.toString().startsWith('+PONG'));
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

function clientTls(): { ca: Buffer; cert: Buffer; key: Buffer } {
  return {
    ca: readFileSync(CA_FILE),
    cert: readFileSync(join(FIXTURES, 'notary-server.crt')),
    key: readFileSync(join(FIXTURES, 'notary-server.key')),
  };
}
