import { setTimeout as delay } from 'node:timers/promises';
import { keyId } from '@scrivener/tuf';
import { Queue, QueueEvents, Worker, type Job } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createJobKey, parseJobKeys, type JobKeys } from '../job-keys.ts';
import { openAnswer, openJob, sealAnswer, sealJob, type SealedJob } from '../job-seal.ts';
import { SIGNING_QUEUE, signJob, type JobRefusal } from '../jobs.ts';
import { createKeySigner } from '../key-signer.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import type { Signer } from '../signer.ts';
import { createKeys, freshGun, publishRequest } from '../testing/requests.ts';
import { askerOf, jobIdOf, newAsker, readEntry, streamOf } from './answer-stream.ts';
import { createQueueSigner, serveSigner } from './index.ts';
import { testRedis } from './testing/index.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const place = () => testRedis();
type Place = ReturnType<typeof place>;

interface Worked {
  /** What was refused, in order. */
  readonly refused: JobRefusal[];
  /** How many questions the signer behind was asked. */
  asked(): number;
}

interface Circumstances {
  readonly keys?: JobKeys;
  /** How far its clock is ahead, in milliseconds. */
  readonly ahead?: number;
  readonly signer?: Pick<Signer, 'createKey' | 'sign'>;
}

async function work(at: Place, circumstances: Circumstances = {}): Promise<Worked> {
  const { ahead = 0, signer = createKeySigner(new MemoryKeyStore()) } = circumstances;
  let asked = 0;
  const refused: JobRefusal[] = [];
  const worker = serveSigner({
    ...at,
    keys: circumstances.keys ?? at.keys,
    signer: {
      createKey: (request) => ((asked += 1), signer.createKey(request)),
      sign: (request) => ((asked += 1), signer.sign(request)),
    },
    concurrency: 4,
    onError: () => {},
    onRefused: (reason) => refused.push(reason),
    now: () => Date.now() + ahead,
  });
  closers.push(() => worker.close());
  await worker.ready();
  return { refused, asked: () => asked };
}

function ask(at: Place, options: { deadline?: number; keys?: JobKeys } = {}) {
  const troubles: string[] = [];
  const asker = createQueueSigner({
    ...at,
    ...options,
    onError: ({ message }) => troubles.push(message),
  });
  closers.push(() => asker.close());
  return Object.assign(asker, { troubles });
}

/** What somebody can do who can write to Redis, and read it. */
function thief(at: Place) {
  const connection = { connection: at.redis, prefix: at.prefix };
  const queue = new Queue(SIGNING_QUEUE, connection);
  const events = new QueueEvents(SIGNING_QUEUE, connection);
  const redis = new Redis(at.redis);
  closers.push(
    () => queue.close(),
    () => events.close(),
    async () => redis.disconnect(),
  );
  const lastAnswer = async (asker: string): Promise<unknown> => {
    const [last] = await redis.xrevrange(streamOf(at.prefix, asker), '+', '-', 'COUNT', 1);
    return readEntry(last?.[1] ?? []).answer;
  };
  return {
    /** Puts a job and gives the answer, which any holder of the keys can open, when it is over. */
    put: async (id: string, name: string, data: unknown): Promise<unknown> => {
      await events.waitUntilReady();
      const ended = new Promise<unknown>((resolve) => {
        events.on('completed', ({ jobId, returnvalue }) => {
          if (jobId === id) resolve(returnvalue);
        });
      });
      await queue.add(name, data, { jobId: id, removeOnComplete: true });
      const kept = await ended;
      const asker = askerOf(id);
      if (asker === undefined) return openAnswer(at.keys, id, kept)?.answer;
      expect(kept).toBeNull();
      return openAnswer(at.keys, id, await lastAnswer(asker))?.answer;
    },
    /** Says that a job has that answer, which is JSON if it is one. */
    announce: async (id: string, answer: string) => {
      const stream = streamOf(at.prefix, askerOf(id) ?? '');
      await redis.xadd(stream, '*', 'job', id, 'answer', answer);
    },
    /** Puts an entry of any shape into the stream of whoever asked for that job. */
    scrawl: async (id: string, ...fields: string[]) => {
      await redis.xadd(streamOf(at.prefix, askerOf(id) ?? ''), '*', ...fields);
    },
    /** Takes the next job away from everybody. */
    take: async (): Promise<Job> => {
      const stolen = Promise.withResolvers<Job>();
      const worker = new Worker(
        SIGNING_QUEUE,
        (job: Job) => {
          stolen.resolve(job);
          return delay(60_000, undefined, { ref: false });
        },
        connection,
      );
      const job = await stolen.promise;
      await worker.close(true);
      return job;
    },
    queue,
  };
}

const keyJob = () => ({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' });
const soon = () => Date.now() + 5_000;
const altered = (job: SealedJob): SealedJob => ({
  ...job,
  body: job.body.replace('timestamp', 'snapshot'),
});

/** Jobs that name an asker, and those of an API of before, which does not. */
describe.each([
  ['', jobIdOf('stolen', newAsker())],
  [' and names no asker', 'stolen'],
])('a job of somebody who can write to Redis%s', (_, id) => {
  const strangers = parseJobKeys(createJobKey());

  test.each<[JobRefusal, string, (keys: JobKeys) => unknown]>([
    ['forged', 'in plain text', () => keyJob()],
    [
      'forged',
      'under a key of his own',
      () => sealJob(strangers, { id, name: 'create-key' }, keyJob(), soon()),
    ],
    [
      'forged',
      'that he changed',
      (keys) => altered(sealJob(keys, { id, name: 'create-key' }, keyJob(), soon())),
    ],
    [
      'forged',
      'that was sealed under another id',
      (keys) => sealJob(keys, { id: 'another', name: 'create-key' }, keyJob(), soon()),
    ],
    [
      'forged',
      'that was sealed as a job of another name',
      (keys) => sealJob(keys, { id, name: 'sign' }, keyJob(), soon()),
    ],
    [
      'expired',
      'that he kept',
      (keys) => sealJob(keys, { id, name: 'create-key' }, keyJob(), Date.now() - 1_000),
    ],
  ])('is %s: one %s', async (reason, __, job) => {
    const at = place();
    const worked = await work(at);

    const answer = await thief(at).put(id, 'create-key', job(at.keys));

    expect(answer).toMatchObject({ ok: false, code: 'REFUSED', job: reason });
    expect(worked.refused).toEqual([reason]);
    expect(worked.asked()).toBe(0);
  });

  test('is refused a second time, though it was good the first time', async () => {
    const at = place();
    const worked = await work(at);
    const { put } = thief(at);
    const job = sealJob(at.keys, { id, name: 'create-key' }, keyJob(), soon());

    expect(await put(id, 'create-key', job)).toMatchObject({ ok: true });
    expect(await put(id, 'create-key', job)).toMatchObject({ ok: false, job: 'replayed' });
    expect(worked.refused).toEqual(['replayed']);
    expect(worked.asked()).toBe(1);
  });

  test('with the seal of a good one does not use that one up', async () => {
    const at = place();
    const worked = await work(at);
    const { put } = thief(at);
    const job = sealJob(at.keys, { id, name: 'create-key' }, keyJob(), soon());

    expect(await put(id, 'create-key', altered(job))).toMatchObject({ job: 'forged' });
    expect(await put(id, 'create-key', job)).toMatchObject({ ok: true });
    expect(worked.refused).toEqual(['forged']);
  });

  test('that another worker does again in its time gives the same signatures', async () => {
    const at = place();
    const signer = createKeySigner(new MemoryKeyStore());
    const request = publishRequest(await createKeys(signer));
    const data = z.encode(signJob, request);
    const job = sealJob(at.keys, { id, name: 'sign' }, data, soon());
    const { put } = thief(at);
    const first = serveSigner({ ...at, signer, concurrency: 1, onError: () => {} });
    const before = await put(id, 'sign', job);
    await first.close();
    await work(at, { signer });

    const again = await put(id, 'sign', job);

    expect(again).toEqual(before);
    expect(before).toEqual({ ok: true, ...(await signer.sign(request)) });
  });
});

test.each<[string, Record<string, string>]>([
  ['no JSON', { name: 'sign', data: '{', opts: '{}', timestamp: '1' }],
  ['no options', { name: 'sign', data: '{}', opts: '', timestamp: '1' }],
  ['nothing', { none: '1' }],
])('a job of %s, put by hand, does not keep a worker from its work', async (_, fields) => {
  const at = place();
  await work(at);
  const redis = new Redis(at.redis);
  const key = (name: string) => `${at.prefix}:${SIGNING_QUEUE}:${name}`;
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    await redis.hset(key(id), fields);
    await redis.lpush(key('wait'), id);
  }
  await redis.zadd(key('marker'), 0, '0');
  redis.disconnect();

  await expect(createKeys(ask(at))).resolves.toBeDefined();
});

describe('a question', () => {
  test.each<[string, (keys: JobKeys, id: string, data: object) => unknown]>([
    ['a forged job', () => ({ forged: true })],
    ['an expired job', (keys, id, data) => sealJob(keys, { id, name: 'sign' }, data, 1)],
  ])('is answered although %s is in its place', async (_, inTheWay) => {
    const at = place();
    const signer = createKeySigner(new MemoryKeyStore());
    const request = publishRequest(await createKeys(signer));
    const asker = ask(at);
    const { take, queue } = thief(at);
    const first = asker.sign(request);
    const job = await take();
    await queue.obliterate({ force: true });
    const opened = openJob(at.keys, { id: job.id ?? '', name: job.name }, job.data, Date.now());
    const data = opened.ok ? (opened.data as object) : {};
    await queue.add('sign', inTheWay(at.keys, job.id ?? '', data), {
      jobId: job.id ?? '',
      removeOnComplete: true,
    });

    const worked = await work(at, { signer });

    await expect(first).resolves.toBeDefined();
    expect(worked.refused).toHaveLength(1);
    expect(asker.troubles).toEqual([expect.stringContaining('signers do not accept our job')]);
  });

  test('that two ask at once is answered to both, and again to who asks later', async () => {
    const at = place();
    const signer = createKeySigner(new MemoryKeyStore());
    const request = publishRequest(await createKeys(signer));
    const [asker, another] = [ask(at), ask(at)];
    const both = [asker.sign(request), another.sign(request)];
    await delay(300);
    const worked = await work(at, { signer });

    const [one, other] = await Promise.all(both);
    const third = await another.sign(request);

    expect(other).toEqual(one);
    expect(third).toEqual(one);
    expect(worked.refused).toEqual([]);
    expect(worked.asked()).toBe(3);
  });

  test('is answered though a lock ran out, and done again by the same worker, which takes it for no replay', async () => {
    const at = place();
    const signer = createKeySigner(new MemoryKeyStore());
    const { queue } = thief(at);
    const request = { gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' } as const;
    let times = 0;
    const worked = await work(at, {
      signer: {
        sign: (request) => signer.sign(request),
        createKey: async (request) => {
          times += 1;
          if (times === 1) await loseLock(at, queue);
          return signer.createKey(request);
        },
      },
    });

    await expect(ask(at).createKey(request)).resolves.toBeDefined();
    await expect.poll(() => times, { timeout: 10_000 }).toBe(2);
    await expect.poll(() => queue.getActiveCount(), { timeout: 5_000 }).toBe(0);
    expect(worked.refused).toEqual([]);
  });

  test.each<[string, number, JobRefusal]>([
    ['an hour ahead', 3_600_000, 'expired'],
    ['an hour behind', -3_600_000, 'early'],
  ])('is UNAVAILABLE, and says why, when the clock of the worker is %s', async (_, ahead, why) => {
    const at = place();
    const worked = await work(at, { ahead });

    await expect(createKeys(ask(at, { deadline: 1_000 }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `signers do not accept our job: ${why}`,
    });
    expect(worked.refused).toContain(why);
    expect(worked.asked()).toBe(0);
  });

  test.each([4_500, -4_500])(
    'is answered by a worker whose clock is %i ms ahead',
    async (ahead) => {
      const at = place();
      await work(at, { ahead });

      await expect(createKeys(ask(at, { deadline: 2_000 }))).resolves.toBeDefined();
    },
  );
});

describe('an answer of somebody who can write to Redis', () => {
  const mallory = createKeySigner(new MemoryKeyStore());

  test('plants no key: the true one comes, and the false one is told of', async () => {
    const at = place();
    const asker = ask(at);
    const request = { gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' } as const;
    const { take, announce, queue } = thief(at);
    const asked = asker.createKey(request);
    const { id = '' } = await take();
    const planted = await mallory.createKey(request);
    const answer = { ok: true, keytype: planted.keytype, public: planted.public };

    await announce(id, JSON.stringify(answer));
    await announce(id, JSON.stringify(sealAnswer(parseJobKeys(createJobKey()), id, answer)));
    await announce(id, JSON.stringify(sealAnswer(at.keys, 'create-key-of-before', answer)));
    await announce(id, JSON.stringify({ failure: 'feigned' }));
    await queue.obliterate({ force: true });
    await work(at);

    expect(keyId(await asked)).not.toBe(keyId(planted));
    expect(asker.troubles).toEqual(['an answer came that no holder of the job key gave']);
  });

  test('that is no JSON, or no answer at all, does not keep others from being heard', async () => {
    const at = place();
    const asker = ask(at, { deadline: 5_000 });
    const { take, announce, scrawl, queue } = thief(at);
    const asked = createKeys(asker);
    const { id = '' } = await take();

    await announce(id, '{');
    await announce('any', '{');
    await scrawl(id, 'job', id);
    await scrawl(id, 'answer', '{}');
    await scrawl(id, '', '');
    await expect.poll(() => asker.troubles).toHaveLength(1);
    await queue.obliterate({ force: true });
    await work(at);

    await expect(asked).resolves.toBeDefined();
    expect(asker.troubles).toEqual(['an answer came that no holder of the job key gave']);
  });

  test('is UNAVAILABLE at the deadline where no other comes', async () => {
    const at = place();
    const asker = ask(at, { deadline: 1_000 });
    const asked = asker.createKey({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' });
    const { take, announce } = thief(at);
    const { id = '' } = await take();

    await announce(id, '{"ok":true,"keytype":"ed25519","public":"AAAA"}');

    await expect(asked).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'an answer came that no holder of the job key gave',
    });
  });
});

describe('job keys', () => {
  const [old, next] = [createJobKey(), createJobKey()];
  const rotation = [old, `${old}\n${next}`, `${next}\n${old}`, next];

  test.each([
    [0, 1],
    [1, 0],
    [1, 2],
    [2, 1],
    [2, 3],
    [3, 2],
  ])('are rotated without a gap: APIs at step %i, workers at step %i', async (apis, workers) => {
    const at = place();
    await work(at, { keys: parseJobKeys(rotation[workers] ?? '') });

    const asker = ask(at, { keys: parseJobKeys(rotation[apis] ?? '') });

    await expect(createKeys(asker)).resolves.toBeDefined();
    expect(asker.troubles).toEqual([]);
  });

  test('that differ are UNAVAILABLE, and both sides say so', async () => {
    const at = place();
    const worked = await work(at, { keys: parseJobKeys(old) });
    const asker = ask(at, { keys: parseJobKeys(next), deadline: 1_000 });

    await expect(createKeys(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(worked.refused).toContain('forged');
    expect(asker.troubles).toEqual(['an answer came that no holder of the job key gave']);
  });
});

/** As if the worker had been frozen: its lock is gone, and so the job comes back to whoever is there. */
async function loseLock(at: Place, queue: Queue): Promise<void> {
  const [active] = await queue.getActive();
  const redis = new Redis(at.redis);
  await redis.del(`${at.prefix}:${SIGNING_QUEUE}:${active?.id}:lock`);
  redis.disconnect();
  await delay(100);
}
