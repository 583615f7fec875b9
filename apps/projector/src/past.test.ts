import { describe, expect, test } from 'vitest';
import { readTarget } from './past.ts';

describe('where the past is put', () => {
  test.each([
    ['schema:past', { kind: 'schema', name: 'past' }],
    ['directory:past', { kind: 'directory', name: 'past' }],
    ['directory:schema:past', { kind: 'directory', name: 'schema:past' }],
    ['./past', { kind: 'directory', name: './past' }],
    ['/srv/tuf', { kind: 'directory', name: '/srv/tuf' }],
    ['..', { kind: 'directory', name: '..' }],
  ] as const)('%s is understood', (text, target) => {
    expect(readTarget(text)).toEqual(target);
  });

  test.each([
    ['past', '--into past may be a directory or a schema: say ./past or schema:past'],
    ['', '--into wants a name'],
    ['schema:', '--into wants a name'],
  ])('%j is refused', (text, reason) => {
    expect(() => readTarget(text)).toThrow(reason);
  });
});
