import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@scrivener/runtime';
import { SigningError, type Signer } from '@scrivener/signing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { gunOf } from '../testing/client.ts';
import { commandOf, inMemory, ownerOf, type TestProcesses } from '../testing/processes.ts';

const START = new Date('2026-11-22T00:00:00.000Z');
const gun = gunOf('a/b');

let now: Date;
let memory: TestProcesses;
const later = (seconds: number) => {
  now = new Date(now.getTime() + seconds * 1_000);
};
beforeEach(() => {
  now = START;
  memory = inMemory(() => now);
});
afterEach(() => memory.close());

async function published(...guns: (typeof gun)[]) {
  const process = memory.process();
  for (const each of guns) {
    const owner = await ownerOf(process, each, { now });
    await process.publish(commandOf(each, [owner.root(), owner.targets()]));
  }
}

/** A signer that can be away: it says so, or says nothing until it is back. */
function fickle() {
  const state = { is: 'there' as 'there' | 'away' | 'silent', asked: 0 };
  const sign: Signer['sign'] = async (...request) => {
    state.asked += 1;
    if (state.is === 'away') throw new SigningError('UNAVAILABLE', 'away');
    await vi.waitUntil(() => state.is !== 'silent', 20_000);
    return memory.signer.sign(...request);
  };
  return { state, signer: { ...memory.signer, sign } };
}

const FIFTEEN_DAYS = 15 * 86_400;

describe('an expired timestamp', () => {
  test('is renewed once for 128 who read it at once in two processes', async () => {
    await published(gun);
    later(FIFTEEN_DAYS);
    const before = (await memory.events.readAfter(0, Infinity)).length;
    const both = [memory.process(), memory.process()];

    const files = await Promise.all(
      Array.from({ length: 128 }, async (_, n) => both[n % 2]?.currentServerRole(gun, 'timestamp')),
    );

    expect(new Set(files.map((file) => file?.version))).toEqual(new Set([2n]));
    expect((await memory.events.readAfter(0, Infinity)).length).toBe(before + 1);

    later(FIFTEEN_DAYS);
    const again = await Promise.all(both.map((each) => each.currentServerRole(gun, 'timestamp')));
    expect(again.map((file) => file?.version)).toEqual([3n, 3n]);
  });

  test('under an expired snapshot of a client costs a look every few seconds', async () => {
    const process = memory.process();
    const owner = await ownerOf(process, gun, { now, ownSnapshot: true });
    const snapshot = () => owner.snapshot({ expires: '2026-11-23T00:00:00Z' });
    await process.publish(commandOf(gun, [owner.root(), owner.targets(), snapshot()]));
    later(2 * 86_400);
    const readStream = vi.spyOn(memory.events, 'readStream');

    for (let n = 0; n < 5; n += 1) {
      expect((await process.currentServerRole(gun, 'snapshot'))?.version).toBe(1n);
    }

    expect(readStream).toHaveBeenCalledTimes(1);
  });

  test('is served as it is while the signer is away, which is asked every few seconds', async () => {
    await published(gun);
    later(FIFTEEN_DAYS);
    const { state, signer } = fickle();
    const { currentServerRole } = memory.process({ signer });
    const read = async () => (await currentServerRole(gun, 'timestamp'))?.version;
    state.is = 'away';

    expect([await read(), await read(), await read()]).toEqual([1n, 1n, 1n]);
    expect(state.asked).toBe(1);
    later(5);
    expect([await read(), await read()]).toEqual([1n, 1n]);
    expect(state.asked).toBe(2);
    await sleep(20); // the second answer is on its way

    state.is = 'there';
    later(5);
    await read();
    await vi.waitFor(async () => expect(await read()).toBe(2n));
    expect(state.asked).toBe(3);
  });

  test('makes one reader wait for a signer that is silent; the next ones, of any repository, do not', async () => {
    const other = gunOf('c/d');
    await published(gun, other);
    later(FIFTEEN_DAYS);
    const { state, signer } = fickle();
    const { currentServerRole } = memory.process({ signer, timeoutMs: 300 });
    state.is = 'silent';

    expect((await currentServerRole(gun, 'timestamp'))?.version).toBe(1n);
    later(6);
    const started = performance.now();
    for (const each of [gun, other, gun, other]) {
      expect((await currentServerRole(each, 'timestamp'))?.version).toBe(1n);
    }
    expect(performance.now() - started).toBeLessThan(250);
    state.is = 'there';
  });

  test('that the server cannot renew is tried again behind the backs of its readers', async () => {
    await published(gun);
    const { currentServerRole } = memory.process();
    later(FIFTEEN_DAYS);
    const lost = memory.process({
      signer: {
        ...memory.signer,
        sign: async () => {
          throw new SigningError('UNKNOWN_KEY', 'lost');
        },
      },
    });

    expect((await lost.currentServerRole(gun, 'timestamp'))?.version).toBe(1n);
    expect((await lost.currentServerRole(gun, 'snapshot'))?.version).toBe(1n);
    expect((await currentServerRole(gun, 'timestamp'))?.version).toBe(2n);
  });
});

test('what has failed is counted, and logged with its repository', async () => {
  await published(gun);
  later(FIFTEEN_DAYS);
  const { state, signer } = fickle();
  const counted: string[] = [];
  const logger = createLogger('fatal');
  const error = vi.spyOn(logger, 'error');
  const process = memory.process({
    signer,
    logger,
    countRenewal: (trigger, outcome) => counted.push(`${trigger} ${outcome}`),
  });
  state.is = 'away';
  await process.currentServerRole(gun, 'timestamp');
  state.is = 'there';
  later(5);
  await process.currentServerRole(gun, 'timestamp');
  await vi.waitFor(() => expect(counted).toEqual(['read failed', 'read renewed']));

  expect(error.mock.calls).toEqual([
    [
      { gun, err: expect.any(SigningError) },
      'expired metadata is served, for it could not be renewed',
    ],
  ]);
});
