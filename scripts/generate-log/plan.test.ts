import { expect, test } from 'vitest';
import { births } from './plan.ts';

const DAY = 86_400_000;

test('no life of a million events is longer than the certificates of its owner are good for', () => {
  const end = Date.parse('2026-11-25T00:00:00Z');
  const all = births({ events: 1_000_000, collections: 3_000, seed: 1, end });

  expect(all.reduce((sum, { times }) => sum + times.length, 0)).toBe(1_000_000);
  const longest = Math.max(...all.map(({ times }) => (times.at(-1) ?? 0) - (times[0] ?? 0)));
  expect(longest).toBeLessThan(10 * 365 * DAY);
});
