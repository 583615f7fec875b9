import { expect, test } from 'vitest';
import type { Finding } from './finding.ts';
import { firstOfEach, keep } from './limits.ts';

const many = (count: number, finding: Omit<Finding, 'reason' | 'position'>): Finding[] =>
  Array.from({ length: count }, (_, n) => ({ ...finding, position: n + 1, reason: `wrong ${n}` }));

test('of a repository with thousands of rows in the wrong place everything else is still told', () => {
  const rows = many(9_999, { kind: 'read-model', gun: 'a/b', column: 'changefeed' });
  const chain: Finding = { kind: 'chain', gun: 'a/b', position: 7, column: 'at', reason: 'it was' };
  const files = many(50, { kind: 'read-model', gun: 'a/b', column: 'metafiles' });

  const told = firstOfEach([...rows, chain, ...files]);

  expect(told).toHaveLength(50 + 1 + 1 + 50);
  expect(told.slice(0, 50)).toEqual(rows.slice(0, 50));
  expect(told[50]).toEqual({
    kind: 'read-model',
    gun: 'a/b',
    column: 'changefeed',
    reason: 'and 9949 more like these',
  });
  expect(told[51]).toEqual(chain);
  expect(told.slice(52)).toEqual(files);
});

test('ten thousand findings are kept, the first ones', () => {
  const found = many(9_990, { kind: 'file' });
  const more = many(20, { kind: 'link' });

  const kept = keep(found, more);

  expect(kept).toHaveLength(10_000);
  expect(kept.slice(9_990)).toEqual(more.slice(0, 10));
  expect(keep(kept, more)).toEqual(kept);
});
