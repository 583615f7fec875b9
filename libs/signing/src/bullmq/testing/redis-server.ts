import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import { Redis } from 'ioredis';
import { FIXTURES } from '../../../../../fixtures/certificates.ts';
import { freePort } from '../../../../../scripts/processes.ts';
import { findRedis } from '../../../../../scripts/redis.ts';

/** A Redis of a test's own, with settings that the one of `REDIS_URL` does not have. */
export interface RedisServer {
  readonly port: number;
  /** Asks it something, as an administrator. */
  command(name: string, ...args: readonly (string | number)[]): Promise<unknown>;
  /** No farewell, as when its machine dies. */
  kill(): Promise<void>;
}

/** The certificates of development: servers and clients that show them may speak with each other. */
export const mutualTls: ConnectionOptions = {
  ca: readFileSync(join(FIXTURES, 'root-ca.crt')),
  cert: readFileSync(join(FIXTURES, 'notary-signer.crt')),
  key: readFileSync(join(FIXTURES, 'notary-signer.key')),
};

/** What has a Redis speak TLS with holders of certificates, and nothing else. */
const TLS_ONLY = {
  port: '0',
  'tls-cert-file': join(FIXTURES, 'notary-server.crt'),
  'tls-key-file': join(FIXTURES, 'notary-server.key'),
  'tls-ca-cert-file': join(FIXTURES, 'root-ca.crt'),
  'tls-auth-clients': 'yes',
  'tls-replication': 'yes',
};

export interface RedisServerOptions {
  /** Plain text where it is false. */
  readonly tls?: boolean;
  /** More settings, as in redis.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of a sentinel's settings: then it is one. */
  readonly sentinel?: readonly string[];
}

/** Starts one on a free port of 127.0.0.1. */
export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const { tls = true, settings = {}, sentinel } = options;
  const folder = mkdtempSync(join(tmpdir(), 'redis-server-'));
  const port = await freePort();
  const all = {
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    ...(tls ? { ...TLS_ONLY, 'tls-port': String(port) } : { port: String(port) }),
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} ${value || '""'}`);
  const file = join(folder, 'redis.conf');
  writeFileSync(file, [...lines, ...(sentinel ?? [])].join('\n'));
  const { command, env } = await findRedis();
  const log = openSync(join(folder, 'log'), 'w');
  const child = spawn(command, [file, ...(sentinel === undefined ? [] : ['--sentinel'])], {
    env,
    stdio: ['ignore', log, log],
  });
  const ended = once(child, 'exit');
  const admin = new Redis({
    host: '127.0.0.1',
    port,
    password: settings['requirepass'] ?? '',
    ...(tls && { tls: mutualTls }),
  });
  admin.on('error', () => {});
  const server: RedisServer = {
    port,
    command: (name, ...args) => admin.call(name, ...args),
    kill: async () => {
      admin.disconnect();
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const ready = admin.ping();
  const late = delay(10_000).then(() => {
    throw new Error(`Redis did not start: ${readFileSync(join(folder, 'log'), 'utf8')}`);
  });
  late.catch(() => {});
  try {
    await Promise.race([ready, late]);
  } catch (error) {
    await server.kill();
    throw error;
  }
  return server;
}
