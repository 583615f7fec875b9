import { get, request } from 'node:http';
import { createServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError } from './config-error.ts';
import { createDebugServer } from './debug-server.ts';

const debug = createDebugServer();
let port: number;
let failing: Record<string, string> = {};
beforeAll(async () => {
  debug.show('queue', async () => ({ waiting: 3 }));
  debug.show('pool', () => {
    throw new Error('closed');
  });
  debug.show('stuck', () => new Promise(() => {}));
  debug.checkHealth(async () => failing);
  port = await debug.listen(0);
});
afterAll(() => debug.close());

interface Answer {
  readonly status: number | undefined;
  readonly body: Buffer;
}

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers, method }, (response) => {
      buffer(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    })
      .on('error', reject)
      .end();
  });

describe('the debug listener', () => {
  test('shows the figures of the process and of the program, also when some cannot be had', async () => {
    const { body } = await ask('/debug/vars');

    expect(JSON.parse(body.toString())).toMatchObject({
      process: { pid: process.pid, uptimeSeconds: expect.any(Number) },
      eventLoopDelayMs: { p99: expect.any(Number) },
      memory: { rss: expect.any(Number) },
      heap: { used_heap_size: expect.any(Number) },
      queue: { waiting: 3 },
      pool: { error: 'closed' },
      stuck: { error: 'no answer in time' },
    });
  });

  test('says what fails', async () => {
    failing = {};
    expect(await ask('/debug/health')).toMatchObject({ status: 200 });
    failing = { 'DB operational': 'away' };
    const { status, body } = await ask('/debug/health');

    expect(status).toBe(503);
    expect(JSON.parse(body.toString())).toEqual(failing);
  });

  test('profiles the time, in the format of pprof', async () => {
    const busy = setInterval(() => spin(20), 25);
    const { status, body } = await ask('/debug/pprof/profile?seconds=0.5');
    clearInterval(busy);

    expect(status).toBe(200);
    expect(stringsOf(body)).toContain('spin');
    expect(stringsOf(body)).toContain('nanoseconds');
  });

  test('profiles the heap, in the format of pprof', async () => {
    const kept = Array.from({ length: 200_000 }, (_, index) => ({ index }));
    const { status, body } = await ask('/debug/pprof/heap');

    expect(kept.length).toBe(200_000);
    expect(status).toBe(200);
    expect(stringsOf(body)).toContain('bytes');
  });

  test('takes one profile of the time at once', async () => {
    const first = ask('/debug/pprof/profile?seconds=1');
    await expect
      .poll(async () => (await ask('/debug/pprof/profile?seconds=0.001')).status)
      .toBe(409);

    expect((await first).status).toBe(200);
  });

  test.each([
    ['/debug/pprof/profile?seconds=x', 400],
    ['/debug/pprof/profile?seconds=-1', 400],
    ['/debug/pprof/profile?seconds=1e9', 400],
    ['/debug/pprof/', 200],
    ['/debug/other', 404],
    ['/constructor', 404],
    ['//', 404],
  ])('answers %s with %i', async (path, status) => {
    expect((await ask(path)).status).toBe(status);
  });

  test('answers nobody who asks for another host, and no other method', async () => {
    expect((await ask('/debug/vars', { Host: 'example.com' })).status).toBe(403);
    expect((await ask('/debug/vars', { Host: 'localhost:8080' }, 'POST')).status).toBe(405);
  });

  test('says so when its port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const taken = typeof address === 'object' ? address?.port : undefined;

    await expect(createDebugServer().listen(taken)).rejects.toThrow(
      new ConfigError(
        `debug listener: listen tcp 127.0.0.1:${taken}: bind: address already in use`,
      ),
    );
    other.close();
  });

  test('is not there for other machines', async () => {
    const error = await new Promise((resolve) => {
      get({ host: '127.0.0.2', port, path: '/debug/vars' }, resolve).on('error', resolve);
    });

    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  });
});

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** What a profile of pprof names: its strings stand in it as they are. */
function stringsOf(profile: Buffer): string {
  return gunzipSync(profile).toString('latin1');
}
