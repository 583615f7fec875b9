import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { createKeySigner } from '../key-signer.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import { createKeys, publishRequest } from '../testing/requests.ts';
import { streamOf } from './answer-stream.ts';
import { Answers } from './answers.ts';
import { createQueueSigner, serveSigner } from './index.ts';
import { startTcpProxy, testRedis } from './testing/index.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function client({ redis }: ReturnType<typeof testRedis>): Redis {
  const connection = new Redis(redis);
  closers.push(() => connection.disconnect());
  return connection;
}

/** A reader behind a proxy, and somebody who writes into its stream. */
async function reader() {
  const place = testRedis();
  const { host, port } = place.redis;
  const proxy = await startTcpProxy({ host, port });
  closers.push(() => proxy.close());
  const redis = client(place);
  const answers = new Answers({
    connection: { ...place.redis, host: '127.0.0.1', port: proxy.port },
    prefix: place.prefix,
    onError: () => {},
  });
  closers.push(() => answers.close());
  const heard: unknown[] = [];
  answers.listen('a', (answer) => heard.push(answer));
  const stream = streamOf(place.prefix, answers.asker);
  return {
    proxy,
    redis,
    stream,
    answers,
    heard,
    say: (answer: string, id = '*') => redis.xadd(stream, id, 'job', 'a', 'answer', answer),
  };
}

describe('an answer is heard', () => {
  test('that came before the first connection', async () => {
    const { proxy, say, heard } = await reader();
    proxy.cut();
    await say('1');

    await proxy.restore();

    await expect.poll(() => heard, { timeout: 5_000 }).toEqual([1]);
  });

  test('that came while the connection was cut', async () => {
    const { proxy, say, heard } = await reader();
    await say('1');
    await expect.poll(() => heard).toEqual([1]);
    proxy.cut();
    await say('2');
    await delay(300);
    expect(heard).toEqual([1]);

    await proxy.restore();

    await expect.poll(() => heard, { timeout: 5_000 }).toEqual([1, 2]);
  });

  test('that came while nothing came through, and nobody said so', async () => {
    const { proxy, say, heard } = await reader();
    await say('1');
    await expect.poll(() => heard).toEqual([1]);
    proxy.freeze();
    await say('2');
    await delay(4_000); // longer than a silent connection is kept

    await proxy.restore();

    await expect.poll(() => heard.at(-1), { timeout: 5_000 }).toEqual(2);
  }, 15_000);

  test('that Redis numbers below the last one, for it forgot that, and its clock is behind', async () => {
    const { redis, stream, say, heard } = await reader();
    await say('1', '9999999999999-0');
    await expect.poll(() => heard).toEqual([1]);
    await redis.del(stream);

    await say('2', '1-1');

    await expect.poll(() => heard, { timeout: 5_000 }).toEqual([1, 2]);
  });

  test('after the stream was something else for a while', async () => {
    const { redis, stream, say, heard } = await reader();
    await redis.set(stream, 'no stream');
    await delay(300);
    await redis.del(stream);

    await say('1');

    await expect.poll(() => heard, { timeout: 5_000 }).toEqual([1]);
  });
});

test('who listens no longer is told nothing', async () => {
  const { say, heard, answers } = await reader();
  const other: unknown[] = [];
  const stop = answers.listen('a', (answer) => other.push(answer));
  await say('1');
  await expect.poll(() => other).toEqual([1]);
  stop();

  await say('2');
  await delay(300);

  expect(other).toEqual([1]);
  expect(heard).toEqual([]);
});

/** Tells of each command that Redis is given by anybody. By hand: what comes with its `OK`, ioredis takes for an error. */
async function watchCommands(
  { redis: { host, port } }: ReturnType<typeof testRedis>,
  onLine: (line: string) => void,
): Promise<void> {
  const socket = connect({ host, port });
  closers.push(() => socket.destroy());
  const lines = createInterface(socket);
  socket.write('MONITOR\r\n');
  const [first] = await once(lines, 'line');
  expect(first).toBe('+OK');
  lines.on('line', onLine);
}

/** Two askers and a worker. */
async function two() {
  const place = testRedis();
  const signer = createKeySigner(new MemoryKeyStore());
  const troubles: unknown[] = [];
  const worker = serveSigner({
    ...place,
    signer,
    concurrency: 4,
    onError: (error) => troubles.push(error),
  });
  const [one, other] = [createQueueSigner(place), createQueueSigner(place)];
  closers.push(
    () => worker.close(),
    () => one.close(),
    () => other.close(),
  );
  await worker.ready();
  return { place, one, other, troubles, redis: client(place) };
}

const streams = (redis: Redis, prefix: string) => redis.keys(streamOf(prefix, '*'));

describe('askers of one Redis', () => {
  test('each read their own answers, and nothing else, once for each question', async () => {
    const { place, one, other, redis } = await two();
    const keys = await createKeys(one);
    const [mine = ''] = await streams(redis, place.prefix);
    await createKeys(other);
    const reads = new Map<string, number>();
    await watchCommands(place, (line) => {
      const read = /"xread".*"STREAMS" "(?<stream>[^"]+)"/i.exec(line)?.groups?.['stream'] ?? '';
      if (read.startsWith(place.prefix)) reads.set(read, (reads.get(read) ?? 0) + 1);
    });

    const begin = performance.now();
    for (let version = 1n; version <= 20n; version += 1n) {
      await one.sign(publishRequest(keys, version));
    }
    await expect.poll(() => reads.get(mine)).toBeGreaterThanOrEqual(20);

    // Who waits also reads once in two seconds, whether anything came or not.
    const idle = Math.ceil((performance.now() - begin) / 2_000) + 1;
    expect(reads.get(mine)).toBeLessThanOrEqual(20 + idle);
    reads.delete(mine);
    expect(reads.size).toBeLessThanOrEqual(1);
    for (const count of reads.values()) expect(count).toBeLessThanOrEqual(idle);
  });

  test('leave nothing for long: a stream has its time, which each answer renews', async () => {
    const { place, one, redis } = await two();
    const keys = await createKeys(one);
    const [stream = ''] = await streams(redis, place.prefix);
    const left = async () => redis.pttl(stream);
    expect(await left()).toBeLessThanOrEqual(60_000);
    expect(await left()).toBeGreaterThan(30_000);
    await redis.pexpire(stream, 5_000);

    await one.sign(publishRequest(keys));

    expect(await left()).toBeGreaterThan(30_000);
    await redis.pexpire(stream, 1);
    await expect.poll(() => redis.exists(stream)).toBe(0);
    await expect(one.sign(publishRequest(keys, 2n))).resolves.toBeDefined();
  });

  test('are answered by another try where the answer could not be put', async () => {
    const { place, one, redis, troubles } = await two();
    const keys = await createKeys(one);
    const [stream = ''] = await streams(redis, place.prefix);
    await redis.set(stream, 'no stream');
    const asked = one.sign(publishRequest(keys));
    await expect.poll(() => troubles).toHaveLength(1);

    await redis.del(stream);

    await expect(asked).resolves.toBeDefined();
    expect(String(troubles[0])).toContain('WRONGTYPE');
  });
});
