import type { Difference } from '@scrivener/read-model';
import type { Gun } from '@scrivener/tuf';
import { describe, expect, test } from 'vitest';
import { ApprovalError, differenceLine, readApprovals } from './differences.ts';

const difference: Difference = {
  table: 'metafiles',
  gun: 'a/b' as Gun,
  live: '{"version": 1}',
  rebuilt: '{"version": 2}',
};
const missing: Difference = { ...difference, live: undefined };

describe('approvals', () => {
  test.each<[string, string, boolean]>([
    ['nothing', '', false],
    ['that row', differenceLine(difference), true],
    ['a row that is missing', differenceLine(missing), false],
    ['another row', differenceLine({ ...difference, rebuilt: '{}' }), false],
    ['the repository in this table', '{"table":"metafiles","gun":"a/b"}', true],
    ['another repository', '{"table":"metafiles","gun":"a"}', false],
    ['the table', '\n{"table":"metafiles"}\n\n', true],
    ['another table', '{"table":"expiries"}', false],
  ])('of %s', (_what, text, isApproved) => {
    expect(readApprovals(text)(difference)).toBe(isApproved);
  });

  test('of a row that is missing are no approvals of one that is another', () => {
    expect(readApprovals(differenceLine(missing))(missing)).toBe(true);
    expect(readApprovals(differenceLine(difference))(missing)).toBe(false);
  });

  test.each(['x', '{}', '[]', '{"table":"events"}', '{"table":"expiries","row":1}'])(
    'refuse %s by the number of its line',
    (line) => {
      expect(() => readApprovals(`\n${line}`)).toThrow(ApprovalError);
      expect(() => readApprovals(`\n${line}`)).toThrow('line 2 ');
    },
  );
});
