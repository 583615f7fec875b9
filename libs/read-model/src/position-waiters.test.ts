import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { positionWaiters } from './position-waiters.ts';

describe('positionWaiters', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('answers each waiter at its own position, and leaves no timer behind', async () => {
    const waiters = positionWaiters();
    const answers = [waiters.wait(1, 1_000), waiters.wait(2, 1_000), waiters.wait(3, 1_000)];

    waiters.reached(2);
    expect(await Promise.all(answers.slice(0, 2))).toEqual([true, true]);
    expect(waiters.isWaiting()).toBe(true);
    vi.advanceTimersByTime(1_000);

    expect(await answers[2]).toBe(false);
    expect(waiters.isWaiting()).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is not taken back by an older position that comes late', async () => {
    const waiters = positionWaiters();
    waiters.reached(5);
    waiters.reached(4);

    expect(await waiters.wait(5, 0)).toBe(true);
  });

  test('asks anew after it was told to forget', async () => {
    const waiters = positionWaiters();
    waiters.reached(5);
    waiters.forget();
    const answer = waiters.wait(5, 10);
    vi.advanceTimersByTime(10);

    expect(await answer).toBe(false);
  });

  test('lets everybody go when it closes', async () => {
    const waiters = positionWaiters();
    const answer = waiters.wait(1, 60_000);
    waiters.close();

    expect(await answer).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });
});
