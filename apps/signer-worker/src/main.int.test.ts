import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createJobKey,
  createQueueSigner,
  parseJobKeys,
  type QueueSigner,
} from '@scrivener/signing/bullmq';
import {
  startRedisServer,
  startTcpProxy,
  testRedis,
  type RedisServer,
} from '@scrivener/signing/bullmq/testing';
import { SigningError } from '@scrivener/signing';
import { createKeys, freshGun, publishRequest } from '@scrivener/signing/testing';
import { keyId, type Gun } from '@scrivener/tuf';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FIXTURES } from '../../../fixtures/certificates.ts';
import { createTestDatabase, type TestDatabase } from './testing/database.ts';
import { startWorker, type WorkerProcess } from './testing/worker-process.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const folder = mkdtempSync(join(tmpdir(), 'job-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The path of a new file with that text. */
function fileOf(text: string): string {
  const file = join(folder, randomUUID());
  writeFileSync(file, text);
  return file;
}

/** A queue of a test's own, with an asker and as many workers as it starts. */
function corner({ deadline, at }: { readonly deadline?: number; readonly at?: RedisServer } = {}) {
  const { redis: shared, prefix, keys, jobKey } = testRedis();
  const redis = at === undefined ? shared : { ...shared, host: '127.0.0.1', port: at.port };
  const late = deadline === undefined ? {} : { deadline };
  const asker = createQueueSigner({ redis, prefix, keys, ...late });
  closers.push(() => asker.close());
  const environment = {
    NOTARY_SIGNER_STORAGE_BACKEND: 'postgres',
    NOTARY_SIGNER_STORAGE_DB_URL: database.url,
    NOTARY_SIGNER_DEFAULT_ALIAS: 'ts1',
    NOTARY_SIGNER_TS1: 'swordfish',
    NOTARY_SIGNER_QUEUE_HOSTNAME: redis.host,
    NOTARY_SIGNER_QUEUE_PORT: String(redis.port),
    NOTARY_SIGNER_QUEUE_PREFIX: prefix,
    NOTARY_SIGNER_QUEUE_JOB_KEY_FILE: fileOf(jobKey),
  };
  const start = (changes: Record<string, string> = {}): WorkerProcess => {
    const worker = startWorker({ ...environment, ...changes });
    closers.push(() => {
      worker.signal('SIGKILL');
      return worker.ended;
    });
    return worker;
  };
  return { redis, prefix, asker, environment, start };
}

/** Makes every job wait in the middle, until the function returned is called. */
async function holdJobs(): Promise<() => Promise<void>> {
  const client = new Client(database.url);
  await client.connect();
  await client.query('begin; lock table pending_keys');
  return async () => {
    await client.query('commit');
    await client.end();
  };
}

/** Resolves when a worker waits for the lock of `holdJobs`. */
async function untilJobIsHeld(): Promise<void> {
  const waiting = `select 1 from pg_locks where not granted and relation = 'pending_keys'::regclass`;
  await expect.poll(() => database.query(waiting), { timeout: 10_000 }).not.toEqual([]);
}

const NO_KEY = { keytype: 'ed25519', public: '' };
const askKey = (asker: QueueSigner) =>
  asker.createKey({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' });

describe('a worker process', () => {
  test('makes keys and signs; SIGTERM ends it with status 0', async () => {
    const { asker, start } = corner();
    const worker = start();
    const keys = await createKeys(asker, 'ecdsa');
    await expect(asker.sign(publishRequest(keys))).resolves.toBeDefined();

    worker.signal('SIGTERM');

    expect(await worker.ended).toBe(0);
    expect(worker.log.join('\n')).not.toContain('"level":"error"');
  });

  test('finishes the job at hand when it is told to stop', async () => {
    const { asker, start } = corner();
    const worker = start();
    await worker.said('taking jobs');
    const release = await holdJobs();
    const asked = askKey(asker);
    await untilJobIsHeld();

    worker.signal('SIGTERM');
    await worker.said('draining');
    await release();

    await expect(asked).resolves.toBeDefined();
    expect(await worker.ended).toBe(0);
  });

  test('shares the work with another, and both know the same keys', async () => {
    const { asker, start } = corner();
    const workers = [start(), start()];
    await Promise.all(workers.map((worker) => worker.said('taking jobs')));
    const request = { gun: freshGun(), role: 'timestamp', algorithm: 'ecdsa' } as const;

    const keys = await Promise.all(Array.from({ length: 20 }, () => asker.createKey(request)));

    expect(new Set(keys.map(keyId)).size).toBe(1);
    expect(await asker.health()).toEqual({ queue: true, workers: 2, state: 'answering' });
  });

  test('starts before Postgres and Redis, and waits for them', async () => {
    const { redis, asker, start } = corner();
    const url = new URL(database.url);
    const queue = await startTcpProxy({ host: redis.host, port: redis.port });
    const keys = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    closers.push(
      () => queue.close(),
      () => keys.close(),
    );
    queue.cut();
    keys.cut();
    url.port = String(keys.port);
    const worker = start({
      NOTARY_SIGNER_STORAGE_DB_URL: url.href,
      NOTARY_SIGNER_QUEUE_PORT: String(queue.port),
    });
    await worker.said('waiting for the database');

    await keys.restore();
    await delay(1_000);
    await queue.restore();

    await worker.said('taking jobs');
    await expect(askKey(asker)).resolves.toBeDefined();
  });

  test('can be stopped while it waits for its database', async () => {
    const { start } = corner();
    const worker = start({ NOTARY_SIGNER_STORAGE_DB_URL: 'postgres://nobody@127.0.0.1:1/none' });
    await worker.said('waiting for the database');

    worker.signal('SIGTERM');

    expect(await worker.ended).toBe(0);
  });

  test('can be stopped while it waits for Redis, of which it complains once', async () => {
    const { start } = corner();
    const worker = start({ NOTARY_SIGNER_QUEUE_PORT: '1' });
    await worker.said('trouble with the queue');
    await delay(1_500);
    const begin = performance.now();

    worker.signal('SIGTERM');

    expect(await worker.ended).toBe(0);
    expect(performance.now() - begin).toBeLessThan(3_000);
    expect(worker.log.filter((line) => line.includes('trouble'))).toHaveLength(1);
    expect(worker.log.join('\n')).not.toContain('fatal');
  });

  test('loses its database and goes on when that is back', async () => {
    const { asker, start } = corner();
    const url = new URL(database.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    closers.push(() => proxy.close());
    url.port = String(proxy.port);
    const worker = start({ NOTARY_SIGNER_STORAGE_DB_URL: url.href });
    const keys = await createKeys(asker);
    await asker.sign(publishRequest(keys, 1n));

    proxy.cut();
    await expect(askKey(asker)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(asker.sign(publishRequest(keys, 2n))).resolves.toBeDefined(); // from its cache
    await proxy.restore();

    await expect(askKey(asker)).resolves.toBeDefined();
    expect(worker.log.join('\n')).toContain('the key database failed');
  });
});

test('a worker process refuses a job that no API sealed, and says how many there were', async () => {
  const { redis, prefix, start } = corner();
  const worker = start();
  await worker.said('taking jobs');
  const stranger = createQueueSigner({
    redis,
    prefix,
    keys: parseJobKeys(createJobKey()),
    deadline: 1_000,
  });
  closers.push(() => stranger.close());

  await expect(askKey(stranger)).rejects.toMatchObject({ code: 'UNAVAILABLE' });

  await worker.said('refused a job');
  const line = worker.log.find((entry) => entry.includes('refused a job')) ?? '';
  expect(JSON.parse(line)).toMatchObject({ reason: 'forged', refused: { forged: 1, expired: 0 } });
});

const state = async (asker: QueueSigner) => (await asker.health()).state;

describe('health, as an API asks for it,', () => {
  test('tells within 10 s that all workers hang, though they stay connected, and soon that they are back', async () => {
    const { asker, start } = corner();
    const workers = [start(), start()];
    await Promise.all(workers.map((worker) => worker.said('taking jobs')));
    await expect.poll(() => state(asker), { timeout: 10_000 }).toBe('answering');

    for (const worker of workers) worker.signal('SIGSTOP');
    const stopped = performance.now();
    await expect.poll(() => state(asker), { timeout: 20_000 }).toBe('silent');
    expect(performance.now() - stopped).toBeLessThan(10_000);
    expect(await asker.health()).toMatchObject({ queue: true, workers: 2 });

    for (const worker of workers) worker.signal('SIGCONT');
    const back = performance.now();
    await expect.poll(() => state(asker), { timeout: 10_000 }).toBe('answering');
    expect(performance.now() - back).toBeLessThan(5_000);
  });

  test('goes on where one of two workers hangs', async () => {
    const { asker, start } = corner();
    const workers = [start(), start()];
    await Promise.all(workers.map((worker) => worker.said('taking jobs')));
    await expect.poll(() => state(asker), { timeout: 10_000 }).toBe('answering');

    workers[0]?.signal('SIGSTOP');
    const seen = new Set<string>();
    for (let look = 0; look < 30; look += 1) {
      seen.add(await state(asker));
      await delay(200);
    }

    expect([...seen]).toEqual(['answering']);
  });

  test('tells that workers do not reach their keys', async () => {
    const { asker, start } = corner();
    const url = new URL(database.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    closers.push(() => proxy.close());
    url.port = String(proxy.port);
    const worker = start({ NOTARY_SIGNER_STORAGE_DB_URL: url.href });
    await worker.said('taking jobs');

    proxy.freeze();
    await expect.poll(() => state(asker), { timeout: 10_000 }).toBe('keyless');
    await proxy.restore();

    await expect.poll(() => state(asker), { timeout: 10_000 }).toBe('answering');
  });
});

/**
 * Two workers that have been started, so that no test waits for that; the second sleeps until it is
 * woken, so that the first has all the work.
 */
async function oneOfTwo(start: () => WorkerProcess) {
  const workers = [start(), start()] as const;
  await Promise.all(workers.map((worker) => worker.said('taking jobs')));
  const [first, second] = workers;
  second.signal('SIGSTOP');
  return { first, wakeSecond: () => second.signal('SIGCONT') };
}

describe('a job whose worker', () => {
  test('is killed is done by another before the asker gives up', async () => {
    const { asker, start } = corner();
    const { first, wakeSecond } = await oneOfTwo(start);
    const release = await holdJobs();
    const asked = askKey(asker);
    await untilJobIsHeld();

    first.signal('SIGKILL');
    wakeSecond();
    expect(await first.ended).toBe('SIGKILL');
    await release();

    await expect(asked).resolves.toBeDefined();
  }, 60_000);

  test('is killed among many is done by another, and so are the many, each once', async () => {
    const { asker, start } = corner({ deadline: 30_000 });
    const { first, wakeSecond } = await oneOfTwo(start);
    const release = await holdJobs();
    const guns = Array.from({ length: 40 }, freshGun);
    const asked = guns.map((gun) =>
      asker.createKey({ gun, role: 'timestamp', algorithm: 'ed25519' }),
    );
    await untilJobIsHeld();
    await delay(500); // now those that did not go first share jobs, and these are under way

    first.signal('SIGKILL');
    wakeSecond();
    await release();

    const keys = await Promise.all(asked);
    const made = await database.query(
      `select gun, key_id from private_keys where gun in (${guns.map((gun) => `'${gun}'`).join()})`,
    );
    const expected = guns.map((gun, at) => ({ gun, key_id: keyId(keys[at] ?? NO_KEY) }));
    expect(made).toHaveLength(expected.length);
    expect(made).toEqual(expect.arrayContaining(expected));
  }, 60_000);

  test('is frozen is done by another, and its late answer does no harm', async () => {
    const { asker, start } = corner();
    const { first, wakeSecond } = await oneOfTwo(start);
    const release = await holdJobs();
    const request = { gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' } as const;
    const asked = asker.createKey(request);
    await untilJobIsHeld();

    first.signal('SIGSTOP');
    wakeSecond();
    await release();
    const key = await asked;
    first.signal('SIGCONT');
    await delay(1_000);

    expect(await asker.createKey(request)).toEqual(key);
    expect(
      await database.query(`select key_id from private_keys where gun = '${request.gun}'`),
    ).toEqual([{ key_id: keyId(key) }]);
  }, 60_000);
});

describe('when Redis is emptied under load', () => {
  test('all is answered, no key is made twice for one question, and work goes on by itself', async () => {
    const server = await startRedisServer({ tls: false });
    closers.push(() => server.kill());
    const { asker, start } = corner({ at: server });
    const workers = [start(), start()];
    await Promise.all(workers.map((worker) => worker.said('taking jobs')));
    const signing = await createKeys(asker, 'ecdsa');
    const guns: Gun[] = [];
    const keys = new Map<Gun, Set<string>>();
    const slowest = { milliseconds: 0 };
    const inTime = async <Answer>(asked: Promise<Answer>): Promise<Answer | undefined> => {
      const begin = performance.now();
      // What fails has failed cleanly: whoever asked may ask again.
      const answer = await asked.catch((error: unknown) => {
        if (error instanceof SigningError && error.code === 'UNAVAILABLE') return undefined;
        throw error;
      });
      slowest.milliseconds = Math.max(slowest.milliseconds, performance.now() - begin);
      return answer;
    };
    const askOneKey = async (gun: Gun) => {
      const key = await inTime(asker.createKey({ gun, role: 'timestamp', algorithm: 'ed25519' }));
      if (key !== undefined) keys.get(gun)?.add(keyId(key));
    };
    let version = 0n;
    let signed = 0;
    let emptied = 0;
    const end = performance.now() + 5_000;
    const makeKeys = async () => {
      while (performance.now() < end) {
        const gun = freshGun();
        guns.push(gun);
        keys.set(gun, new Set());
        await Promise.all([askOneKey(gun), askOneKey(gun)]);
      }
    };
    const sign = async () => {
      while (performance.now() < end) {
        const given = await inTime(asker.sign(publishRequest(signing, (version += 1n))));
        if (given !== undefined) signed += 1;
      }
    };
    const empty = async () => {
      for (; performance.now() < end; emptied += 1) {
        await server.command('FLUSHALL');
        await delay(100);
      }
    };

    await Promise.all([
      ...Array.from({ length: 8 }, makeKeys),
      ...Array.from({ length: 8 }, sign),
      empty(),
    ]);

    expect(emptied).toBeGreaterThan(5);
    expect(signed).toBeGreaterThan(0);
    expect(slowest.milliseconds).toBeLessThan(13_000); // a deadline is 8 s; the rest is for a busy machine
    // By itself: nobody was restarted, and the next is answered as ever.
    await expect(asker.sign(publishRequest(signing, (version += 1n)))).resolves.toBeDefined();
    await Promise.all(guns.map(askOneKey));
    expect([...keys.values()].map(({ size }) => size)).toEqual(guns.map(() => 1));
    const made = await database.query(
      `select gun from private_keys where gun in (${guns.map((gun) => `'${gun}'`).join()})`,
    );
    expect(made).toHaveLength(guns.length);
  }, 90_000);
});

describe('a worker that cannot work', () => {
  test.each<[string, Record<string, string>, string]>([
    [
      'without the passphrase of its alias',
      { NOTARY_SIGNER_TS1: '' },
      'set the environment variable NOTARY_SIGNER_TS1',
    ],
    [
      'without an alias',
      { NOTARY_SIGNER_DEFAULT_ALIAS: '' },
      'must provide a default alias for the key DB',
    ],
    [
      'without a file of job keys',
      { NOTARY_SIGNER_QUEUE_JOB_KEY_FILE: '' },
      'queue.job_key_file is required',
    ],
    [
      'with a job key that is too short',
      { NOTARY_SIGNER_QUEUE_JOB_KEY_FILE: fileOf('c2hvcnQ=') },
      'line 1 holds 5 bytes: a key has at least 32',
    ],
    [
      'without the CA of its Redis',
      { NOTARY_SIGNER_QUEUE_TLS_CA_FILE: '/nowhere/ca.crt' },
      'unable to configure TLS to the Redis of queue',
    ],
    [
      'with a CA of its Redis that is none',
      { NOTARY_SIGNER_QUEUE_TLS_CA_FILE: fileOf('-----BEGIN CERTIFICATE-----') },
      'unable to configure TLS to the Redis of queue',
    ],
    [
      'with a certificate and no key for its Redis',
      { NOTARY_SIGNER_QUEUE_TLS_CLIENT_CERT: join(FIXTURES, 'notary-signer.crt') },
      'either pass both client key and cert, or neither',
    ],
    [
      'with the key of another certificate for its Redis',
      {
        NOTARY_SIGNER_QUEUE_TLS_CLIENT_CERT: join(FIXTURES, 'notary-signer.crt'),
        NOTARY_SIGNER_QUEUE_TLS_CLIENT_KEY: join(FIXTURES, 'notary-server.key'),
      },
      'private key does not match public key',
    ],
    ['on another database', { NOTARY_SIGNER_STORAGE_BACKEND: 'mysql' }, 'must be one of: postgres'],
  ])('%s says so and ends with status 1', async (_, changes, message) => {
    const { environment } = corner();
    const worker = startWorker({ ...environment, ...changes });

    expect(await worker.ended).toBe(1);
    expect(JSON.parse(worker.log.at(-1) ?? '')).toMatchObject({
      level: 'fatal',
      msg: expect.stringContaining(message),
    });
  });

  test('with a flag that it does not know ends with status 2 and its usage', async () => {
    const worker = startWorker({}, '-verbose');

    expect(await worker.ended).toBe(2);
    expect(worker.log).toContain('flag provided but not defined: -verbose');
  });
});
