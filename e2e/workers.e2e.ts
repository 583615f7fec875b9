// One API of two processes: nobody is to notice that there are several, whatever becomes of one of them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../scripts/places.ts';
import { isAlive } from '../scripts/processes.ts';
import { startCluster, type Cluster, type Process } from './cluster.ts';
import { addTarget, createCollection, readSigned, type Collection } from './collection.ts';

const TWO = { NOTARY_SERVER_SERVER_WORKERS: '2' };
/** Many processes start, on few processors. */
const LIMIT = 120_000;

let cluster: Cluster;
let api: Process;
beforeAll(async () => {
  cluster = await startCluster({ environment: TWO });
  [api] = cluster.processes.api as [Process];
  await bothServe().catch((error: unknown) => {
    throw new Error(`not both serve:\n${api.log()}`, { cause: error });
  });
}, LIMIT);
afterAll(() => cluster?.stop(), LIMIT);

/** Over a connection of its own, which any worker may take. */
async function get(path: string): Promise<{ readonly status: number; readonly body: string }> {
  const options = { agent: false, ca: readFileSync(cluster.caFile), timeout: 30_000 };
  const sent = request(`${cluster.urls[0]}${path}`, options).end();
  sent.on('timeout', () => sent.destroy(new Error('no answer for 30 s')));
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, body: await text(answer) };
}

const readTargets = async ({ gun }: Collection) => {
  const { status, body } = await get(`/v2/${gun}/_trust/tuf/targets.json`);
  const { signed } = JSON.parse(body) as { signed?: { version: number } };
  return { status, version: signed?.version };
};

const scrape = async () => (await get('/metrics')).body;
const figure = (metrics: string, name: string) =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
const requestsIn = (metrics: string) =>
  [...metrics.matchAll(/^notary_server_http_requests_total\{.*\} (\d+)$/gm)]
    .map(([, count]) => Number(count))
    .reduce((sum, count) => sum + count, 0);

async function bothServe(): Promise<void> {
  while (figure(await scrape(), 'scrivener_workers') !== 2) await sleep(50);
}

/** The processes of an API besides the first one. */
function workersOf({ pid }: Process): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children.split(' ').map(Number);
}

/** What the API has logged at that level. */
const messages = (wanted: string) =>
  api
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; msg: string })
    .flatMap(({ level, msg }) => (level === wanted ? [msg] : []));

/** How many requests each worker says that it has answered, by its number. */
const answeredBy = (method: string) =>
  [1, 2].map(
    (worker) =>
      api
        .log()
        .split('\n')
        .filter((line) => line.includes('"response completed"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line['worker'] === worker && line['http.request.method'] === method)
        .length,
  );

test('every worker shows what any of them has answered with 200', { timeout: LIMIT }, async () => {
  const collections = await Promise.all([1, 2, 3].map(() => createCollection(cluster.urls[0])));

  for (let round = 0; round < 8; round += 1) {
    await Promise.all(
      collections.map(async (collection) => {
        const { status, version } = await addTarget(
          cluster.urls[0],
          collection,
          'targets',
          `target-${round}`,
        );
        expect(status).toBe(200);
        const read = await Promise.all(Array.from({ length: 4 }, () => readTargets(collection)));
        expect(read.map((one) => one.status)).toEqual(Array(4).fill(200));
        expect(read.map((one) => one.version)).toEqual(Array(4).fill(version));
      }),
    );
  }

  for (const method of ['GET', 'POST']) {
    expect(answeredBy(method).filter((answered) => answered === 0)).toEqual([]);
  }
});

test('whichever is asked has the figures of both', async () => {
  const collection = await createCollection(cluster.urls[0]);
  const before = requestsIn(await scrape());
  for (let read = 0; read < 10; read += 1) await readTargets(collection);

  const scrapes = await Promise.all(Array.from({ length: 10 }, scrape));

  expect(scrapes.map(requestsIn)).toEqual(Array(10).fill(before + 10));
  const [metrics = ''] = scrapes;
  expect(figure(metrics, 'scrivener_source_up{source="workers"}')).toBe(1);
  for (const worker of [1, 2]) {
    expect(figure(metrics, `process_cpu_seconds_total{worker="${worker}"}`)).toBeGreaterThan(0);
  }
  expect(metrics).toMatch(
    /^notary_server_http_request_duration_microseconds\{operation="GetRole",quantile="0.5"\} \d/m,
  );
});

test('a start that is refused is refused once, as that of one process', async () => {
  const child = spawn(
    process.execPath,
    [join(ROOT, 'apps/api/src/main.ts'), '-config', cluster.apiConfigFile],
    { env: { ...process.env, ...TWO }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const [log, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);

  const lines = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; msg: string });
  const { host } = new URL(cluster.urls[0]);
  expect(code).toBe(1);
  expect(lines.filter(({ level }) => level === 'fatal').map(({ msg }) => msg)).toEqual([
    `listen tcp ${host.replace('localhost', '127.0.0.1')}: bind: address already in use`,
  ]);
});

describe('kill -9', () => {
  test(
    'of a worker, while others read and publish: nothing fails but what it had in hand, and another one takes its place',
    { timeout: LIMIT },
    async () => {
      const collection = await createCollection(cluster.urls[0]);
      const stop = new AbortController();
      const readers = Array.from({ length: 6 }, () => readUntil(stop.signal, collection));
      const publisher = publishUntil(stop.signal, collection);
      await sleep(500);
      const before = requestsIn(await scrape());
      const [victim = 0] = workersOf(api);

      process.kill(victim, 'SIGKILL');
      await sleep(3_000); // another one holds its lease by then
      await bothServe();
      stop.abort();

      const read = await Promise.all(readers);
      for (const { statuses, errors, longest } of read) {
        expect(new Set(statuses)).toEqual(new Set([200]));
        // The one request that it was reading, or answering.
        expect(errors.length).toBeLessThanOrEqual(1);
        expect(longest).toBeLessThan(10_000);
      }
      const { accepted, others } = await publisher;
      // Of its connections, also those that a client kept for later, nobody else has any. What was
      // under way when its worker died may land after the publisher has read again.
      const told = /^(?:400 VERSION|Error: (?:socket hang up|read ECONNRESET))$/;
      expect(others.filter((answer) => !told.test(answer))).toEqual([]);
      expect(others.length).toBeLessThan(8);
      const { targets } = await readSigned(cluster.urls[0], collection.gun, 'targets.json');
      expect(accepted.filter((target) => !(target in targets))).toEqual([]);
      expect(accepted.length).toBeGreaterThan(0);
      expect(workersOf(api)).toHaveLength(2);
      expect(workersOf(api)).not.toContain(victim);
      expect(messages('error')).toEqual([
        expect.stringMatching(/^worker \d ended \(SIGKILL\): starting another one in 0.1 s$/),
      ]);
      const after = await scrape();
      expect(requestsIn(after)).toBeGreaterThan(before);
      expect(figure(after, 'scrivener_workers_replaced_total')).toBe(1);
    },
  );

  test('of the primary: nobody is left, and the address can be had again', async () => {
    const workers = workersOf(api);
    expect(workers).toHaveLength(2);

    api.signal('SIGKILL');
    await api.ended();

    await expect.poll(() => workers.filter(isAlive), { timeout: 10_000 }).toEqual([]);
    api.start();
    await cluster.healthy();
  });
});

test('SIGTERM ends all of them, with 0', async () => {
  await bothServe();
  const workers = workersOf(api);

  api.signal('SIGTERM');

  expect(await api.ended()).toBe(0);
  expect(workers.filter(isAlive)).toEqual([]);
});

/** Reads until told to stop, each time over a connection of its own; gives what became of it. */
async function readUntil(signal: AbortSignal, collection: Collection) {
  const told = { statuses: new Array<number>(), errors: new Array<string>(), longest: 0 };
  while (!signal.aborted) {
    const began = performance.now();
    try {
      told.statuses.push((await readTargets(collection)).status);
    } catch (error) {
      told.errors.push(String(error));
    }
    told.longest = Math.max(told.longest, performance.now() - began);
    await sleep(10);
  }
  return told;
}

async function publishUntil(signal: AbortSignal, collection: Collection) {
  const told = { accepted: new Array<string>(), others: new Array<string>() };
  for (let round = 0; !signal.aborted; round += 1) {
    const target = `round-${round}`;
    try {
      const { status, code } = await addTarget(cluster.urls[0], collection, 'targets', target);
      if (status === 200) told.accepted.push(target);
      else told.others.push(`${status} ${code}`);
    } catch (error) {
      told.others.push(String(error));
    }
  }
  return told;
}
