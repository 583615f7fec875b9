import { expect, test } from 'vitest';
import { createTurnstile } from './turnstile.ts';

const narrow = { places: 1, waiting: 1, waitMs: 5_000 };
const turnAway = (reason: string): never => {
  throw new Error(reason);
};

/** Work that goes on until it is told to end. */
function work(name: string) {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { run: () => promise, end: () => resolve(name) };
}

test('one works, one waits for it, and the third is turned away at once', async () => {
  const turnstile = createTurnstile(narrow, 'readers', turnAway);
  const [first, second] = [work('first'), work('second')];

  const working = turnstile.run(first.run);
  const waiting = turnstile.run(second.run);

  await expect(turnstile.run(async () => 'third')).rejects.toThrow('1 readers are waiting');
  expect([turnstile.working(), turnstile.waiting()]).toEqual([1, 1]);
  first.end();
  second.end();
  expect(await Promise.all([working, waiting])).toEqual(['first', 'second']);
  expect([turnstile.working(), turnstile.waiting()]).toEqual([0, 0]);
  expect(turnstile.turnedAway()).toBe(1);
});

test('who waits too long is turned away, and work that fails gives its place back', async () => {
  const turnstile = createTurnstile({ ...narrow, waitMs: 20 }, 'readers', turnAway);
  const first = work('first');
  const working = turnstile.run(first.run);

  await expect(turnstile.run(async () => 'late')).rejects.toThrow('no place among 1 readers');
  first.end();
  await working;
  await expect(turnstile.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await turnstile.run(async () => 'next')).toBe('next');
  expect(turnstile.turnedAway()).toBe(1);
});
