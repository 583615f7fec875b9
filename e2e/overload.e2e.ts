import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { freePort } from '../scripts/processes.ts';
import { ROOT } from '../scripts/places.ts';

const MIB = 1024 * 1024;

/** What a process may hold, whatever clients do; docs/production.md tells what was measured. */
const MOST_MEMORY = 2_048 * MIB;

/** A read may take that long while all of this goes on, in milliseconds; the machine is busy, too. */
const PATIENCE = 15_000;

const SLOW_CLIENTS = 500;
/** `limits.uploads`, by default. */
const PLACES = 512;

let api: ChildProcess;
let port: number;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'overload-'));
  port = await freePort();
  const config = join(folder, 'server.json');
  writeFileSync(
    config,
    JSON.stringify({
      server: { http_addr: `127.0.0.1:${port}` },
      trust_service: { type: 'local' },
      storage: { backend: 'memory' },
    }),
  );
  api = spawn(process.execPath, [join(ROOT, 'apps/api/src/main.ts'), '-config', config], {
    stdio: 'ignore',
  });
  await vi.waitUntil(() => read().catch(() => 0), { timeout: 30_000 });
});
afterAll(() => {
  api.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const read = async () => (await ask('GET', '/v2/')).status;
const FORM = { 'Content-Type': 'multipart/form-data; boundary=b' };
const UPDATE = '/v2/example.com/a/_trust/tuf/';

function ask(method: string, path: string, body?: Buffer) {
  return new Promise<{ status: number; retryAfter: string | undefined }>((resolve, reject) => {
    const headers = body === undefined ? {} : { ...FORM, 'Content-Length': body.byteLength };
    const done = (message: IncomingMessage) => {
      text(message).then(
        () =>
          resolve({
            status: message.statusCode ?? 0,
            retryAfter: message.headers['retry-after'],
          }),
        reject,
      );
    };
    request({ host: '127.0.0.1', port, method, path, headers, agent: false }, done)
      .on('error', reject)
      .end(body);
  });
}

const form = (...parts: readonly Buffer[]) =>
  Buffer.concat([
    ...parts.flatMap((part) => [
      Buffer.from('--b\r\nContent-Disposition: form-data; filename="targets"\r\n\r\n'),
      part,
      Buffer.from('\r\n'),
    ]),
    Buffer.from('--b--\r\n'),
  ]);

/** The most memory that the process has ever had, in bytes; nowhere but on Linux. */
function peak(): number {
  const status = readFileSync(`/proc/${api.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function figure(name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const line = (await response.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** How long the slowest of the reads took that were made one after the other while `work` went on. */
async function slowestReadDuring(work: Promise<unknown>): Promise<number> {
  const over = new AbortController();
  const stop = () => over.abort();
  work.then(stop, stop);
  let slowest = 0;
  while (!over.signal.aborted) {
    const started = performance.now();
    expect(await read()).toBe(200);
    slowest = Math.max(slowest, performance.now() - started);
    await sleep(50);
  }
  return slowest;
}

/** An upload that has sent all but its end, for as long as the socket is there. */
function sendAlmostAll(body: Buffer): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    `POST ${UPDATE} HTTP/1.1\r\nHost: a\r\nContent-Type: ${FORM['Content-Type']}\r\n` +
      `Content-Length: ${body.byteLength}\r\n\r\n`,
  );
  socket.write(body.subarray(0, -MIB));
  return socket;
}

/** Announces an upload, and sends a few bytes of it now and then. */
function dawdle(): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    `POST ${UPDATE} HTTP/1.1\r\nHost: a\r\nContent-Type: ${FORM['Content-Type']}\r\n` +
      `Content-Length: ${90 * MIB}\r\n\r\n--b\r\n`,
  );
  return socket;
}

test('one upload that would fill all memory once it is parsed is refused, and nobody notices', async () => {
  const bomb = form(Buffer.from(`{"signed":[${'{},'.repeat(30 * MIB)}{}]}`));
  const bombing = ask('POST', UPDATE, bomb);

  expect(await slowestReadDuring(bombing)).toBeLessThan(PATIENCE);
  expect(await bombing).toMatchObject({ status: 413 });
}, 120_000);

test('500 slow clients, huge uploads and forms of 10,000 parts: reads go on, and memory is bounded', async () => {
  const slow = Array.from({ length: SLOW_CLIENTS }, dawdle);
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('A: b\r\n');
  }, 1_000);
  try {
    const huge = form(Buffer.alloc(99 * MIB, 'x'));
    const held = [sendAlmostAll(huge), sendAlmostAll(huge)];
    await vi.waitFor(
      async () => expect(await figure('scrivener_uploads_bytes')).toBeGreaterThan(190 * MIB),
      { timeout: 30_000 },
    );
    expect(await ask('POST', UPDATE, huge)).toEqual({ status: 503, retryAfter: '5' });
    for (const socket of held) socket.destroy();

    const many = form(...Array.from({ length: 10_000 }, () => Buffer.from('{}')));
    const uploads = Promise.all(
      [huge, huge, huge, huge, many, many].map((body) => ask('POST', UPDATE, body)),
    );

    expect(await slowestReadDuring(uploads)).toBeLessThan(PATIENCE);
    const answers = await uploads;
    const told = answers.map(({ status, retryAfter = '' }) => `${status} ${retryAfter}`.trim());
    expect(told.filter((text) => text !== '400' && text !== '503 5')).toEqual([]);
    expect(peak()).toBeLessThan(MOST_MEMORY);

    // All places are taken by slow ones: they make room for one that is not.
    slow.push(...Array.from({ length: PLACES - SLOW_CLIENTS }, dawdle));
    await vi.waitFor(async () => expect(await figure('scrivener_uploads')).toBe(PLACES));
    await sleep(6_000);
    expect(await ask('POST', UPDATE, form(Buffer.from('{}')))).toMatchObject({ status: 400 });
    expect(await figure('scrivener_shed_total{what="slow"}')).toBe(1);
  } finally {
    clearInterval(drip);
    for (const socket of slow) socket.destroy();
  }
}, 180_000);
