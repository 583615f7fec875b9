import { expect, test } from 'vitest';
import { spreadOf } from './series.ts';

test.each([
  [[3, 1, 2], { median: 2, min: 1, max: 3 }],
  [[4, 1, 2, 3], { median: 2.5, min: 1, max: 4 }],
  [[7], { median: 7, min: 7, max: 7 }],
])('spreadOf(%j) has the middle, the least and the most', (values, spread) => {
  expect(spreadOf(values)).toEqual(spread);
});
