import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
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

async function start(folder: string): Promise<Redis> {
  const redis = await startRedis({
    program: await findRedis(),
    directory: join(folder, 'data'),
    log: join(folder, 'redis.log'),
    durable: true,
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

describe('startRedis', () => {
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
