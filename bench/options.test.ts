import { UsageError } from '@scrivener/runtime';
import { describe, expect, test } from 'vitest';
import { readOptions } from './options.ts';

describe('readOptions', () => {
  test('measures everything where nothing is named', () => {
    expect(readOptions([])).toMatchObject({ runs: 5, url: undefined, clients: [1, 16, 64] });
    expect(readOptions([])?.benches).toContain('init');
  });

  test('takes several names and a server that runs already', () => {
    const options = readOptions([
      'reads',
      'publish',
      '--url',
      'https://localhost:4443/',
      '--pid',
      'server=12',
    ]);

    expect(options).toMatchObject({
      benches: ['reads', 'publish'],
      url: 'https://localhost:4443',
      watched: [{ name: 'server', pid: 12 }],
    });
  });

  test('gives nothing where help is asked for', () => {
    expect(readOptions(['reads', '--help'])).toBeUndefined();
  });

  test.each([
    [['writes'], 'not writes'],
    [['--runs', '0'], '--runs wants whole numbers above 0'],
    [['--workers', 'auto'], '--workers wants whole numbers above 0'],
    [['--seconds', '0.0'], '--seconds wants a number above 0'],
    [['--seconds', '.5'], '--seconds wants a number above 0'],
    [['--clients', '1,,2'], '--clients wants'],
    [['--pid', '12'], '--pid wants NAME=PID'],
    [['--fast'], '--fast'],
  ])('refuses %j', (words, message) => {
    expect(() => readOptions(words)).toThrow(UsageError);
    expect(() => readOptions(words)).toThrow(message);
  });
});
