import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { askerOf, jobIdOf, newAsker } from './answer-stream.ts';

test('a job id says who asked', () => {
  const asker = newAsker();

  expect(askerOf(jobIdOf(`sign-${randomUUID()}`, asker))).toBe(asker);
  expect(newAsker()).not.toBe(asker);
});

const hex = 'a'.repeat(32);

test.each([
  `sign-${'a'.repeat(64)}`,
  `batch-${randomUUID()}`,
  'probe-1800000000',
  '',
  hex,
  `sign-1.${hex}a`,
  `sign-1.${hex.slice(1)}`,
  `sign-1.${hex.toUpperCase()}`,
  `sign-1.${hex}\n`,
  `sign-1.${hex}:x`,
  `sign-1.${hex.slice(1)}:`,
])('%j names no asker', (id) => {
  expect(askerOf(id)).toBeUndefined();
});
