import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Pulse } from './pulse.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Workers that can be stopped; a probe of them is given up after 1.5 s. */
function workers() {
  let stopped = false;
  let keys = true;
  let probes = 0;
  const pulse = new Pulse(async () => {
    probes += 1;
    if (!stopped) return { ok: true, keys };
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    throw new Error('no answer in time');
  });
  const look = async () => {
    const state = pulse.state();
    await vi.advanceTimersByTimeAsync(1_500);
    return state;
  };
  return {
    look,
    stop: (yes = true) => (stopped = yes),
    loseKeys: () => (keys = false),
    probes: () => probes,
    pulse,
  };
}

describe('the pulse of the workers', () => {
  test('is felt at the first look', async () => {
    const { look } = workers();

    expect(await look()).toBe('answering');
  });

  test('is missed within 10 s of their stop, and felt at the first look after their return', async () => {
    const { look, stop } = workers();
    await look();
    stop();
    const states = [await look(), await look(), await look(), await look()];

    expect(states.at(-1)).toBe('silent');
    stop(false);
    expect(await look()).toBe('answering');
  });

  test('is missed at the first look where nobody was ever there', async () => {
    const { look, stop } = workers();
    stop();

    expect(await look()).toBe('silent');
  });

  test('tells of keys that cannot be reached', async () => {
    const { look, loseKeys } = workers();
    loseKeys();

    expect(await look()).toBe('keyless');
  });

  test('costs one probe a second at most, however many look, and none while nobody does', async () => {
    const { pulse, probes } = workers();
    for (let step = 0; step < 100; step += 1) {
      await Promise.all(Array.from({ length: 10 }, () => pulse.state()));
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(probes()).toBeLessThanOrEqual(10);
    const before = probes();

    await vi.advanceTimersByTimeAsync(60_000);

    expect(probes()).toBe(before);
  });
});
