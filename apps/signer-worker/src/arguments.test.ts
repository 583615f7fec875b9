import { describe, expect, test } from 'vitest';
import { parseArguments, UsageError } from './arguments.ts';

describe('parseArguments', () => {
  test.each([
    [['-config', 'a.json']],
    [['-config=a.json']],
    [['--config', 'a.json']],
    [['--config=a.json']],
    [['--config=a.json', 'more']],
  ])('takes %j', (words) => {
    expect(parseArguments(words).config).toBe('a.json');
  });

  test('takes nothing at all', () => {
    expect(parseArguments([]).config).toBeUndefined();
  });

  test.each([[['-config']], [['-conf', 'x']], [['-x']]])('refuses %j', (words) => {
    expect(() => parseArguments(words)).toThrow(UsageError);
  });
});
