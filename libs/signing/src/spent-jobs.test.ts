import { expect, test } from 'vitest';
import { SpentJobs } from './spent-jobs.ts';

test('a spent job is known until its time is over', () => {
  const spent = new SpentJobs();
  spent.add('a', 10, 0);
  spent.add('b', 20, 0);

  spent.add('c', 30, 11);

  expect(['a', 'b', 'c', 'd'].map((seal) => spent.has(seal))).toEqual([false, true, true, false]);
});

test('of too many spent jobs the oldest are forgotten', () => {
  const spent = new SpentJobs(2);

  for (const seal of ['a', 'b', 'c']) spent.add(seal, 10, 0);

  expect(['a', 'b', 'c'].map((seal) => spent.has(seal))).toEqual([false, true, true]);
});
