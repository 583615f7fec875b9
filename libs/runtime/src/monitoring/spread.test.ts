import { describe, expect, test } from 'vitest';
import { Spread } from './spread.ts';

const spreadOf = (values: readonly number[]) => {
  const spread = new Spread();
  for (const value of values) spread.add(value);
  return spread;
};

describe('a spread', () => {
  test.each([0.5, 0.9, 0.99])('knows the quantile %d to about a hundredth', (part) => {
    const spread = spreadOf(Array.from({ length: 10_000 }, (_, index) => index + 1));

    expect(spread.quantile(part) / (part * 10_000)).toBeCloseTo(1, 1.7);
  });

  test('knows count and sum exactly', () => {
    const { count, sum } = spreadOf([1, 2, 3.5]);

    expect([count, sum]).toEqual([3, 6.5]);
  });

  test.each([[[]], [[0]], [[0, 0, 5]]])('has 0 in the middle of %j', (values) => {
    expect(spreadOf(values).quantile(0.5)).toBe(0);
  });

  test('takes what is large, and tiny', () => {
    const spread = spreadOf([0.001, 1e12]);

    expect(spread.quantile(1) / 1e12).toBeCloseTo(1, 1);
    expect(spread.quantile(0.5)).toBe(0);
  });

  test('that takes in another one is as if it had seen it all', () => {
    const merged = spreadOf([1, 2, 3]);
    merged.merge(structuredClone(spreadOf([4, 5_000, 6]).state));

    expect(merged.state).toEqual(spreadOf([1, 2, 3, 4, 5_000, 6]).state);
  });
});
