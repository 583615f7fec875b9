import { describe, expect, test } from 'vitest';
import { countTests } from './test-count.ts';

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((test) => ({ status: test })),
});
const report = (...testResults: ReturnType<typeof file>[]) => JSON.stringify({ testResults });

describe('countTests', () => {
  test.each([
    ['all pass', report(file('passed', 'passed', 'passed'), file('passed', 'passed')), true, 3, 0],
    ['one fails', report(file('failed', 'passed', 'failed')), false, 1, 1],
    ['a file does not load', report(file('failed'), file('passed', 'passed')), false, 1, 1],
    ['a hook fails', report(file('failed', 'passed', 'skipped')), false, 1, 1],
    ['a rejection is not handled', report(file('passed', 'passed')), false, 1, 1],
    ['there is no report', '', false, 0, 1],
    ['no test matches', report(), true, 0, 0],
  ])('when %s', (_, text, succeeded, passed, failed) => {
    expect(countTests(text, succeeded)).toEqual({ passed, failed });
  });
});
