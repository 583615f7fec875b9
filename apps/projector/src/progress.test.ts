import { expect, test } from 'vitest';
import { progressLine } from './progress.ts';

test.each([
  [
    { begun: 0, done: 0, total: 10 },
    1000,
    '0 of 10 events, 0 per second, nothing known of the end',
  ],
  [
    { begun: 0, done: 5000, total: 20_000 },
    2000,
    '5000 of 20000 events, 2500 per second, 6 s left',
  ],
  [{ begun: 900, done: 950, total: 1000 }, 1000, '950 of 1000 events, 50 per second, 1 s left'],
])('%j after %i ms: %s', (stand, elapsed, line) => {
  expect(progressLine('events', stand, elapsed)).toBe(line);
});
