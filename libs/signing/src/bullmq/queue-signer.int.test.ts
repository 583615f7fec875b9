import { setTimeout as delay } from 'node:timers/promises';
import type { SigningRequest } from '@scrivener/tuf';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { createKeySigner } from '../key-signer.ts';
import { openAnswer, sealAnswer, sealJob } from '../job-seal.ts';
import { SIGNING_QUEUE } from '../jobs.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import { signerContract } from '../signer.contract.ts';
import type { CreateKeyRequest, Signer } from '../signer.ts';
import { createKeys, freshGun, publishRequest } from '../testing/requests.ts';
import { askerOf, putsAnswers, streamOf } from './answer-stream.ts';
import { createQueueSigner, serveSigner, type QueueSigner } from './index.ts';
import { startTcpProxy, testRedis } from './testing/index.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Stack {
  readonly asker: QueueSigner;
  /** Everything the worker reported. */
  readonly troubles: unknown[];
}

type Place = Pick<ReturnType<typeof testRedis>, 'redis' | 'prefix' | 'keys'>;

const ask = (place: Place, deadline?: number): QueueSigner => {
  const asker = createQueueSigner({ ...place, ...(deadline === undefined ? {} : { deadline }) });
  closers.push(() => asker.close());
  return asker;
};

const work = async (place: Place, signer: Pick<Signer, 'createKey' | 'sign'>) => {
  const troubles: unknown[] = [];
  const worker = serveSigner({
    ...place,
    signer,
    concurrency: 8,
    onError: (error) => troubles.push(error),
  });
  closers.push(() => worker.close());
  await worker.ready();
  return troubles;
};

const start = async (
  place: Place = testRedis(),
  signer: Pick<Signer, 'createKey' | 'sign'> = createKeySigner(new MemoryKeyStore()),
): Promise<Stack> => ({ troubles: await work(place, signer), asker: ask(place) });

describe('the queue signer', () => {
  signerContract(async () => {
    const place = testRedis();
    const worker = serveSigner({
      ...place,
      signer: createKeySigner(new MemoryKeyStore()),
      concurrency: 8,
      onError: () => {},
    });
    const asker = createQueueSigner(place);
    return {
      createKey: (request) => asker.createKey(request),
      sign: (request) => asker.sign(request),
      close: async () => {
        await asker.close();
        await worker.close();
      },
    };
  });

  test('lets many who ask the same share one job', async () => {
    const inner = createKeySigner(new MemoryKeyStore());
    let signed = 0;
    const slow: Pick<Signer, 'createKey' | 'sign'> = {
      createKey: (request) => inner.createKey(request),
      sign: async (request) => {
        signed += 1;
        await delay(100);
        return inner.sign(request);
      },
    };
    const { asker } = await start(testRedis(), slow);
    const request = publishRequest(await createKeys(asker));

    const answers = await Promise.all(Array.from({ length: 20 }, () => asker.sign(request)));

    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(signed).toBe(1);
  });

  test('answers a thousand questions, each its own, in fewer jobs than that', async () => {
    const place = testRedis();
    await work(place, createKeySigner(new MemoryKeyStore()));
    // What is shown is that no answer goes astray; how long it takes is the machine's affair.
    const asker = ask(place, 60_000);
    const keys = await createKeys(asker);
    const before = await jobsDone(place);
    const versions = Array.from({ length: 1_000 }, (_, index) => BigInt(index + 1));

    const answers = await Promise.all(
      versions.map((version) => asker.sign(publishRequest(keys, version))),
    );

    expect(new Set(answers.map(({ timestamp }) => timestamp[0]?.sig)).size).toBe(1_000);
    expect((await jobsDone(place)) - before).toBeLessThan(500);
  }, 90_000);
});

describe('questions that share a job', () => {
  const bad = freshGun();
  const worse = (inner: Signer, trouble: () => Promise<unknown>) => ({
    createKey: async (request: CreateKeyRequest) => {
      if (request.gun === bad) await trouble();
      return inner.createKey(request);
    },
    sign: (request: SigningRequest) => inner.sign(request),
  });
  /** Thirty good ones, and a bad one in the middle. */
  const askAll = async (asker: QueueSigner) => {
    const asked = Array.from({ length: 31 }, (_, at) =>
      asker.createKey({
        gun: at === 15 ? bad : freshGun(),
        role: 'timestamp',
        algorithm: 'ed25519',
      }),
    );
    const [odd] = asked.splice(15, 1);
    return { odd, others: asked };
  };

  test('have their own refusals', async () => {
    const place = testRedis();
    await work(place, createKeySigner(new MemoryKeyStore()));
    const asker = ask(place, 60_000);
    const [keys, strangers] = [await createKeys(asker), await createKeys(signer())];

    const answers = await Promise.allSettled(
      Array.from({ length: 40 }, (_, at) =>
        asker.sign(publishRequest(at % 2 === 0 ? keys : strangers, BigInt(at + 1))),
      ),
    );

    expect(
      answers.map((each) => (each.status === 'fulfilled' ? 'signed' : each.reason.code)),
    ).toEqual(answers.map((_, at) => (at % 2 === 0 ? 'signed' : 'UNKNOWN_KEY')));
  });

  test('are answered though one of them throws, and that one is tried again', async () => {
    let throws = 2;
    const { asker } = await start(
      testRedis(),
      worse(signer(), async () => {
        if (throws-- > 0) throw new Error('secret of the database');
      }),
    );

    const { odd, others } = await askAll(asker);

    await expect(Promise.all(others)).resolves.toHaveLength(30);
    await expect(odd).resolves.toBeDefined();
    expect(throws).toBeLessThan(0);
  });

  test('are answered though one of them hangs, and need not wait for it', async () => {
    const place = testRedis();
    await work(
      place,
      worse(signer(), () => delay(60_000, undefined, { ref: false })),
    );

    const { odd, others } = await askAll(ask(place, 8_000));
    const first = await Promise.race([
      Promise.all(others).then((keys) => keys.length),
      odd?.catch(() => 'the one that hangs'),
    ]);

    expect(first).toBe(30);
    await expect(odd).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  }, 20_000);
});

/** How many jobs have been answered, as the queue's own record says. */
async function jobsDone({ redis, prefix }: Place): Promise<number> {
  const client = new Redis(redis);
  const events = await client.xrange(`${prefix}:${SIGNING_QUEUE}:events`, '-', '+');
  client.disconnect();
  return events.filter(([, fields]) => fields.includes('completed')).length;
}

describe('a job that throws', () => {
  test('is tried again, and its answer then is the answer', async () => {
    const inner = createKeySigner(new MemoryKeyStore());
    let throws = 2;
    const { asker, troubles } = await start(testRedis(), {
      createKey: async (request) => {
        if (throws-- > 0) throw new Error('secret of the database');
        return inner.createKey(request);
      },
      sign: (request) => inner.sign(request),
    });

    await expect(createKeys(asker)).resolves.toBeDefined();
    expect(troubles).toHaveLength(2);
  });

  test('again and again is UNAVAILABLE well before the deadline, and nothing leaks', async () => {
    const place = testRedis();
    const { asker, troubles } = await start(place, {
      createKey: async () => {
        throw new Error('secret of the database');
      },
      sign: async () => {
        throw new Error('secret of the database');
      },
    });
    const begin = performance.now();

    const error = await createKeys(asker).catch((thrown: unknown) => thrown);

    expect(performance.now() - begin).toBeLessThan(6_000);
    expect(error).toMatchObject({ name: 'SigningError', code: 'UNAVAILABLE' });
    expect(String(error) + String((error as Error).cause)).not.toContain('secret');
    expect(troubles).toHaveLength(4);
  });

  test('or never ends, is given up and tried again', async () => {
    const inner = createKeySigner(new MemoryKeyStore());
    let hangs = true;
    const { asker } = await start(testRedis(), {
      createKey: async (request) => {
        if (hangs) {
          hangs = false;
          await delay(60_000, undefined, { ref: false });
        }
        return inner.createKey(request);
      },
      sign: (request) => inner.sign(request),
    });

    await expect(createKeys(asker)).resolves.toBeDefined();
  });
});

describe('a worker', () => {
  const keyids = ['0'.repeat(64)];
  const timestamp = { version: '1', expires: '2036-01-02T03:04:05Z', keyids };

  test.each<[string, string, object | string | null]>([
    ['no object', 'sign', 'x'],
    ['nothing', 'sign', null],
    ['an unknown member', 'sign', { gun: 'a', timestamp, extra: 1 }],
    ['a GUN with a star', 'sign', { gun: 'a*', timestamp }],
    ['a GUN with a NUL', 'sign', { gun: 'a\0', timestamp }],
    ['no timestamp', 'sign', { gun: 'a' }],
    ['a number as version', 'sign', { gun: 'a', timestamp: { ...timestamp, version: 1 } }],
    [
      'a version beyond int64',
      'sign',
      { gun: 'a', timestamp: { ...timestamp, version: '9'.repeat(19) } },
    ],
    ['no keyids', 'sign', { gun: 'a', timestamp: { ...timestamp, keyids: [] } }],
    ['an empty keyid', 'sign', { gun: 'a', timestamp: { ...timestamp, keyids: [''] } }],
    [
      'a keyid with a prototype',
      'sign',
      { gun: 'a', timestamp: { ...timestamp, keyids: ['__proto__'] } },
    ],
    [
      'bytes that are no base64',
      'sign',
      { gun: 'a', timestamp: { ...timestamp, snapshot: { version: '1', bytes: '*' } } },
    ],
    ['a role that no server signs', 'create-key', { gun: 'a', role: 'root', algorithm: 'ecdsa' }],
    ['an algorithm of clients', 'create-key', { gun: 'a', role: 'snapshot', algorithm: 'rsa' }],
    ['another kind of job', 'export-key', { gun: 'a' }],
    ['a kind of job that every object has', 'constructor', { gun: 'a' }],
  ])('refuses a job with %s, at the first try', async (_, name, data) => {
    const place = testRedis();
    const { troubles } = await start(place);
    const queue = new Queue(SIGNING_QUEUE, { connection: place.redis, prefix: place.prefix });
    closers.push(() => queue.close());

    const id = 'a-question';
    const job = sealJob(place.keys, { id, name }, data, Date.now() + 5_000);
    await queue.add(name, job, { jobId: id, attempts: 1 });

    const answer = async () =>
      openAnswer(place.keys, id, (await queue.getJob(id))?.returnvalue)?.answer;
    await expect.poll(answer, { timeout: 5_000 }).toMatchObject({ ok: false, code: 'REFUSED' });
    expect(troubles).toEqual([]);
  });
});

describe('an answer', () => {
  const keyid = '0'.repeat(64);
  const wrong = { keyid, method: 'eddsa', sig: 'AAAA' };

  test.each<[string, object | null]>([
    ['nothing', null],
    ['another shape', { ok: true }],
    ['an unknown refusal', { ok: false, code: 'TIRED', message: '' }],
    ['an unknown member', { ok: true, timestamp: [wrong], extra: 1 }],
    ['signatures of other keys', { ok: true, snapshot: [wrong], timestamp: [wrong] }],
    ['too few signatures', { ok: true, timestamp: [] }],
  ])('of %s is not believed', async (_, answer) => {
    const place = testRedis();
    const other = new Worker(
      SIGNING_QUEUE,
      async ({ id = '' }) => put(askerOf(id) ?? '', id, sealAnswer(place.keys, id, answer)),
      { connection: place.redis, prefix: place.prefix },
    );
    const put = putsAnswers(other, place.prefix);
    closers.push(() => other.close());
    const keys = await createKeys(createKeySigner(new MemoryKeyStore()));

    await expect(ask(place).sign(publishRequest(keys))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'the signer gave an unintelligible answer',
    });
  });
});

describe('without a worker', () => {
  test('a question is UNAVAILABLE at its deadline, and leaves nothing in the queue', async () => {
    const place = testRedis();
    const asker = ask(place, 500);
    const begin = performance.now();

    await expect(createKeys(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });

    expect(performance.now() - begin).toBeLessThan(1_500);
    const queue = new Queue(SIGNING_QUEUE, { connection: place.redis, prefix: place.prefix });
    closers.push(() => queue.close());
    await expect.poll(() => queue.getWaitingCount()).toBe(0);
  });

  test('health says so', async () => {
    const place = testRedis();
    const asker = ask(place);

    await expect
      .poll(() => asker.health(), { timeout: 10_000 })
      .toEqual({ queue: true, workers: 0, state: 'silent' });
    await work(place, createKeySigner(new MemoryKeyStore()));
    await expect
      .poll(() => asker.health(), { timeout: 10_000 })
      .toEqual({ queue: true, workers: 1, state: 'answering' });
  });

  test('a question is answered when one comes in time', async () => {
    const place = testRedis();
    const asked = createKeys(ask(place));
    await delay(500);
    await work(place, createKeySigner(new MemoryKeyStore()));

    await expect(asked).resolves.toBeDefined();
  });
});

const behindProxy = async (deadline?: number) => {
  const direct = testRedis();
  const { host, port } = direct.redis;
  const proxy = await startTcpProxy({ host, port });
  closers.push(() => proxy.close());
  const place = { ...direct, redis: { ...direct.redis, host: '127.0.0.1', port: proxy.port } };
  return { direct, proxy, place, asker: ask(place, deadline) };
};
const signer = () => createKeySigner(new MemoryKeyStore());

describe('when Redis', () => {
  test('is not there yet, all start, and a question waits for it', async () => {
    const { proxy, place, asker } = await behindProxy();
    proxy.cut();
    const worker = serveSigner({ ...place, signer: signer(), concurrency: 1, onError: () => {} });
    closers.push(() => worker.close());
    const asked = createKeys(asker);
    await delay(1_000);
    expect(await asker.health()).toEqual({ queue: false, workers: 0, state: 'silent' });

    await proxy.restore();

    await expect(asked).resolves.toBeDefined();
  });

  test('was away for long, all is well soon after its return', async () => {
    const { proxy, place, asker } = await behindProxy();
    await work(place, signer());
    await createKeys(asker);
    proxy.cut();
    await delay(3_000);
    await proxy.restore();
    const begin = performance.now();

    await createKeys(asker);

    // reconnecting takes half a second at most; the rest is for a busy machine
    expect(performance.now() - begin).toBeLessThan(1_500);
  });

  test('stays away, a question is UNAVAILABLE at its deadline', async () => {
    const { proxy, asker } = await behindProxy(1_000);
    proxy.cut();
    const begin = performance.now();

    await expect(createKeys(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(performance.now() - begin).toBeLessThan(1_500);
  });

  test('hangs, health says so within 3 s and a question is UNAVAILABLE at its deadline', async () => {
    const { proxy, place, asker } = await behindProxy(1_000);
    await work(place, signer());
    await createKeys(asker);
    proxy.freeze();
    const begin = performance.now();

    await expect(createKeys(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(performance.now() - begin).toBeLessThan(1_500);
    expect(await asker.health()).toEqual({ queue: false, workers: 0, state: 'silent' });
    expect(performance.now() - begin).toBeLessThan(4_000);

    await proxy.restore();
    await expect.poll(() => createKeys(asker), { timeout: 5_000 }).toBeDefined();
  });

  test('is restarted empty while a question waits, the question is put again', async () => {
    const { direct, proxy, place, asker } = await behindProxy();
    const asked = createKeys(asker);
    await delay(300);
    proxy.cut();
    await direct.empty();
    await delay(300);
    await proxy.restore();

    await work(place, signer());

    await expect(asked).resolves.toBeDefined();
  });

  test('is emptied between answer and asker, the question is put again', async () => {
    const { direct, proxy, asker } = await behindProxy();
    const inner = signer();
    const redis = new Redis(direct.redis);
    closers.push(async () => redis.disconnect());
    let times = 0;
    await work(direct, {
      createKey: async (request) => {
        times += 1;
        if (times === 1) proxy.cut();
        return inner.createKey(request);
      },
      sign: (request) => inner.sign(request),
    });
    const asked = asker.createKey({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' });
    const unread = () => redis.keys(streamOf(direct.prefix, '*'));
    await expect.poll(unread).toHaveLength(1);
    await direct.empty();

    await proxy.restore();

    await expect(asked).resolves.toBeDefined();
    expect(times).toBeGreaterThan(1);
  });

  test('is away at the end, closing takes no longer than two seconds', async () => {
    const { proxy, place } = await behindProxy();
    const asker = createQueueSigner(place);
    const worker = serveSigner({ ...place, signer: signer(), concurrency: 1, onError: () => {} });
    await worker.ready();
    await expect
      .poll(() => asker.health())
      .toEqual({ queue: true, workers: 1, state: 'answering' });
    proxy.cut();
    await delay(100);
    const begin = performance.now();

    await Promise.all([asker.close(), worker.close()]);

    expect(performance.now() - begin).toBeLessThan(2_000);
  });
});
