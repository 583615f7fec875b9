import { describe, expect, test } from 'vitest';
import { withoutRepeats } from './without-repeats.ts';

describe('withoutRepeats', () => {
  test('tells of a trouble once while it lasts, and of the next outage again', () => {
    let clock = 0;
    const told: string[] = [];
    const onError = withoutRepeats(
      (error) => told.push(`${clock} ${error.message}`),
      () => clock,
    );

    for (; clock < 60_000; clock += 500) onError(new Error('refused'));
    onError(new Error('another'));
    clock += 10_000;
    onError(new Error('refused'));

    expect(told).toEqual(['0 refused', '60000 another', '70000 refused']);
  });
});
