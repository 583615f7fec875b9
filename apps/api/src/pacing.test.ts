import { setTimeout as sleep } from 'node:timers/promises';
import { TufError } from '@scrivener/tuf';
import { beforeEach, expect, test, vi } from 'vitest';
import { createPace, inItsTime, type Pace } from './pacing.ts';
import { gunOf } from './testing/client.ts';

const gun = gunOf('contended');
let time = 0;
let pace: Pace;

beforeEach(() => {
  vi.useFakeTimers();
  time = 0;
  pace = createPace(() => time);
  return () => void vi.useRealTimers();
});

/** Lets so many milliseconds pass. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 5) {
    time += 5;
    await vi.advanceTimersByTimeAsync(5);
  }
}

/** When each of so many losers of the same moment is told. */
function crowd(losers: number, of = gun): number[] {
  const told: number[] = [];
  for (let loser = 0; loser < losers; loser += 1) void pace.lost(of).then(() => told.push(time));
  return told;
}

test('a few losers are told at once, the others one after the other', async () => {
  const told = crowd(7);
  await pass(100);

  expect(told.filter((at) => at <= 5)).toHaveLength(5);
  expect(told).toHaveLength(7);
});

test('a few may lose again and again, and are told at once each time', async () => {
  for (let round = 0; round < 10; round += 1) {
    const told = crowd(2);
    await pass(50);
    expect(told.map((at) => at - time)).toEqual([-45, -45]);
  }
});

test('of a crowd whose others go on, few are told; the more as soon as they stop', async () => {
  const told = crowd(40);
  for (let passed = 0; passed < 1_000; passed += 50) {
    pace.arrived(gun);
    await pass(50);
  }
  expect(told.length).toBeLessThanOrEqual(4 + 6);
  const before = told.length;
  await pass(1_000);
  expect(told.length - before).toBeGreaterThan(25);
});

test('nobody of a crowd is told while an update is under way, and the first as soon as it is over', async () => {
  const over = pace.begun(gun);
  const told = crowd(10);
  await pass(1_000);
  expect(told).toHaveLength(4);

  pace.arrived(gun);
  over();
  over();
  await pass(5);
  expect(told).toHaveLength(5);
});

test('losers of one repository do not hold up those of another', async () => {
  pace.begun(gun);
  crowd(20);
  const told = crowd(1, gunOf('quiet'));
  await pass(5);

  expect(told).toHaveLength(1);
});

test('nobody waits longer than five seconds, whatever is under way', async () => {
  pace.begun(gun);
  const told = crowd(1_000);
  await pass(5_005);

  expect(told).toHaveLength(1_000);
});

test('goes by a clock of its own that does not go back', async () => {
  vi.useRealTimers();
  const real = createPace();
  const started = performance.now();
  const waiting = Array.from({ length: 8 }, () => real.lost(gun));
  await Promise.race([Promise.all(waiting), sleep(2_000)]);

  expect(performance.now() - started).toBeGreaterThanOrEqual(60);
});

test('who was overtaken hears it in its time, who was refused otherwise at once', async () => {
  pace.begun(gun);
  crowd(4);
  const told: string[] = [];
  const publish = async (code: 'OLD_VERSION' | 'BAD_ROOT') => {
    const refused = inItsTime(pace, gun, () => Promise.reject(new TufError(code, 'no')));
    await refused.catch(() => told.push(code));
  };
  void publish('OLD_VERSION');
  void publish('BAD_ROOT');
  await pass(4_000);
  expect(told).toEqual(['BAD_ROOT']);

  await pass(1_005);
  expect(told).toEqual(['BAD_ROOT', 'OLD_VERSION']);
});
