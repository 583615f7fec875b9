import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import { isAlive } from './processes.ts';
import { findRedis, startRedis, type Redis } from './redis.ts';

const started: Redis[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((redis) => redis.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'scrivener redis-'));
  folders.push(folder);
  return folder;
}

async function start(folder: string, tls = false): Promise<Redis> {
  const redis = await startRedis({
    program: await findRedis(),
    directory: join(folder, 'data'),
    log: join(folder, 'redis.log'),
    durable: true,
    tls,
  });
  started.push(redis);
  return redis;
}

/** One command in Redis' inline form, and the answer as it comes. */
function ask({ port }: Redis, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer.toString());
    });
    socket.once('error', reject);
  });
}

function askOverTls({ port }: Redis, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', ...options }, () =>
      socket.write('PING\r\n'),
    );
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer.toString());
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

/** How OpenSSL words it depends on who of the two is faster. */
const REFUSED = /alert (?:certificate required|unsupported certificate)|ECONNRESET|closed/;

const ca = () => readFileSync(CA_FILE);
const pairOf = (name: string) => ({
  cert: readFileSync(join(FIXTURES, `${name}.crt`)),
  key: readFileSync(join(FIXTURES, `${name}.key`)),
});

describe('startRedis', () => {
  test('answers with TLS who has a certificate to be a client with, and nobody else', async () => {
    const redis = await start(newFolder(), true);

    for (const name of ['notary-server', 'notary-signer']) {
      expect(await askOverTls(redis, { ca: ca(), ...pairOf(name) })).toBe('+PONG\r\n');
    }
    await expect(askOverTls(redis, { ca: ca() })).rejects.toThrow(REFUSED);
    await expect(askOverTls(redis, { ca: ca(), ...pairOf('postgres') })).rejects.toThrow(REFUSED);
    await expect(askOverTls(redis, pairOf('notary-server'))).rejects.toThrow('self-signed');
    const plain = ask(redis, 'PING').catch(() => 'refused');
    expect(await Promise.race([plain, sleep(1_000, 'nothing')])).not.toContain('PONG');
  });

  test('keeps its data for the next start', async () => {
    const folder = newFolder();
    const first = await start(folder);
    await ask(first, 'SET job waiting');
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);

    expect(await ask(await start(folder), 'GET job')).toBe('$7\r\nwaiting\r\n');
  });

  test('never evicts', async () => {
    const redis = await start(newFolder());

    expect(await ask(redis, 'CONFIG GET maxmemory-policy')).toContain('noeviction');
  });

  test('stops the server that a killed run left behind on the same folder', async () => {
    const folder = newFolder();
    const leftOver = await start(folder);

    const next = await start(folder);

    expect(isAlive(leftOver.pid)).toBe(false);
    expect(await ask(next, 'PING')).toBe('+PONG\r\n');
  });
});
