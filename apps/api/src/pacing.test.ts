import { expect, test } from 'vitest';
import { createPace } from './pacing.ts';
import { gunOf } from './testing/client.ts';

const gun = gunOf('contended');

/** How long it takes until so many losers of the same moment are told, in milliseconds. */
async function waits(losers: number): Promise<number> {
  const pace = createPace(() => 1_000_000);
  const started = performance.now();
  await Promise.all(Array.from({ length: losers }, () => pace(gun)));
  return performance.now() - started;
}

test('a few losers are told at once, many one after the other', async () => {
  expect(await waits(4)).toBeLessThan(25);
  expect(await waits(12)).toBeGreaterThanOrEqual(190);
});

test('losers of one repository do not hold up those of another', async () => {
  const pace = createPace();
  const crowd = Promise.all(Array.from({ length: 20 }, () => pace(gun)));
  let crowdIsTold = false;
  void crowd.then(() => (crowdIsTold = true));

  await pace(gunOf('quiet'));

  expect(crowdIsTold).toBe(false);
  await crowd;
});

test('nobody waits longer than two seconds', async () => {
  expect(await waits(1000)).toBeLessThan(4000);
});
