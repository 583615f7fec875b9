import { describe, expect, test } from 'vitest';
import { parseCommandLine, UsageError } from './command-line.ts';

describe('parseCommandLine', () => {
  test.each([
    ['-config=a.json'],
    ['--config=a.json'],
    ['-config', 'a.json'],
    ['--config', 'a.json'],
  ])('reads %s %s', (...words) => {
    expect(parseCommandLine(words)).toMatchObject({ config: 'a.json', help: false });
  });

  test.each([['-h'], ['-help'], ['--help']])('understands %s', (word) => {
    expect(parseCommandLine([word]).help).toBe(true);
  });

  test('hands on what is not a flag', () => {
    expect(parseCommandLine(['-config', 'a.json', 'example.com/x'])).toMatchObject({
      arguments: ['example.com/x'],
    });
  });

  test.each([['-configuration', 'a.json'], ['-config'], ['-x']])('refuses %s', (...words) => {
    expect(() => parseCommandLine(words)).toThrow(UsageError);
  });
});
