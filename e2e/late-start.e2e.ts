import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun, type Gun } from '@scrivener/tuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startStack, type Stack } from './torture/stack.ts';
import { exchange, getFile, type Answer } from './tuf-http.ts';

// APIs and projectors that start while nothing is there that they depend on.

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ apis: 1, workers: 1, projectors: 1 });
}, 90_000);
afterAll(() => stack.stop(), 60_000);

/** An answer is due within 10 s, on a busy machine a little later; in milliseconds. */
const LIMIT = 13_000;
/** Longer than any back-off of a library grows for. */
const AWAY = 20_000;

const url = () => stack.cluster.urls[0];
const gunOf = (text: string): Gun => {
  const gun = parseGun(text);
  if (gun === undefined) throw new RangeError('not a GUN');
  return gun;
};

async function inTime(asking: () => Promise<Answer>): Promise<Answer> {
  const started = performance.now();
  const answer = await asking();
  expect(performance.now() - started).toBeLessThan(LIMIT);
  return answer;
}

/** Until the API listens again. */
async function listening(): Promise<void> {
  for (;;) {
    const answer = await exchange('GET', `${url()}/_notary_server/live`).catch(() => undefined);
    if (answer?.status === 200) return;
    await sleep(50);
  }
}

test.each([
  {
    name: 'are not there',
    leave: async () => {
      await Promise.all([stack.postgres.kill(), stack.redis.kill()]);
    },
    comeBack: async () => {
      await Promise.all([stack.postgres.start(), stack.redis.start()]);
    },
  },
  {
    name: 'take connections and say nothing',
    leave: async () => {
      stack.postgres.pause();
      stack.redis.pause();
    },
    comeBack: async () => {
      stack.postgres.resume();
      stack.redis.resume();
    },
  },
])(
  'started while Postgres and Redis $name: says so, and serves as soon as they are back',
  async ({ name, leave, comeBack }) => {
    const { api, projector } = stack.cluster.processes;
    const restarted = [...api, ...projector];
    const starts = () => projector[0]?.log().match(/"projecting"/g)?.length ?? 0;
    const startsBefore = starts();
    const gun = gunOf(`example.com/late/${name.length}`);
    await leave();
    const left = Date.now();
    for (const each of restarted) each.signal('SIGKILL');
    await Promise.all(restarted.map((each) => each.ended()));
    for (const each of restarted) each.start();
    await listening();

    const [health, read, write] = await Promise.all([
      inTime(() => exchange('GET', `${url()}/_notary_server/health`)),
      inTime(() => getFile(url(), gun, 'root.json')),
      inTime(() => getFile(url(), gun, 'timestamp.key')),
    ]);
    expect(health.status).toBe(503);
    for (const { status, code, headers, body } of [read, write]) {
      expect([status, code, headers['retry-after']]).toEqual([503, 'UNAVAILABLE', '5']);
      expect(body.toString()).not.toMatch(/127\.0\.0\.1|ECONN|postgres|redis/i);
    }
    await sleep(Math.max(0, AWAY - (Date.now() - left)));

    await comeBack();
    const back = Date.now();
    // Through all that is there: log, queue, worker and read model.
    let made = await getFile(url(), gun, 'timestamp.key');
    while (made.status !== 200 && Date.now() - back < LIMIT) {
      await sleep(20);
      made = await getFile(url(), gun, 'timestamp.key');
    }
    const ms = Date.now() - back;
    console.log(
      `${ms} ms from the return of Postgres and Redis until a new key was made and stored`,
    );
    expect(made.status).toBe(200);
    expect(ms).toBeLessThan(LIMIT);
    await expect.poll(starts, { timeout: LIMIT }).toBe(startsBefore + 1);
  },
  120_000,
);
