import { describe, expect, test } from 'vitest';
import { parseCommandLine, parseOptions, UsageError } from './command-line.ts';

describe('parseCommandLine', () => {
  test.each([
    [['-config=a.json']],
    [['--config=a.json']],
    [['-config', 'a.json']],
    [['--config', 'a.json']],
    [['-config', 'b.json', '-config=a.json']],
    [['-debug', '-config', 'a.json']],
  ])('finds the file in %j', (words) => {
    expect(parseCommandLine(words)).toMatchObject({ config: 'a.json', help: false });
  });

  test.each([[[]], [['-config=']], [['-config', '']]])('finds no file in %j', (words) => {
    expect(parseCommandLine(words)).not.toHaveProperty('config');
  });

  test.each([
    ['-h', { help: true }],
    ['-help', { help: true }],
    ['--help', { help: true }],
    ['-version', { version: true }],
    ['-bootstrap', { bootstrap: true }],
    ['-check-config', { checkConfig: true }],
    ['-debug', { debug: true }],
    ['-debug=1', { debug: true }],
    ['--debug=True', { debug: true }],
    ['-debug=false', { debug: false }],
    ['-logf=logfmt', { logForm: 'logfmt' }],
    ['-logf=json', { logForm: 'json' }],
  ])('understands %s', (word, expected) => {
    expect(parseCommandLine([word])).toMatchObject(expected);
  });

  test('leaves a command its own flags, from the first one on', () => {
    const words = ['-config', 'a.json', '--into', 'x', '-config=b.json'];

    expect(parseCommandLine(words, { hasOwnFlags: true })).toMatchObject({
      config: 'a.json',
      arguments: ['--into', 'x', '-config=b.json'],
    });
    expect(() => parseCommandLine(words)).toThrow('flag provided but not defined: -into');
  });

  test('takes a file whose name has an equals sign or a dash', () => {
    expect(parseCommandLine(['-config=a=b.json']).config).toBe('a=b.json');
    expect(parseCommandLine(['-config', '-debug'])).toMatchObject({
      config: '-debug',
      debug: false,
    });
  });

  test.each([
    [['-config', 'a.json', 'a/b', '-debug']],
    [['-config=a.json', '--', 'a/b', '-debug']],
  ])('hands on what follows the flags in %j', (words) => {
    expect(parseCommandLine(words)).toMatchObject({
      config: 'a.json',
      debug: false,
      arguments: ['a/b', '-debug'],
    });
  });

  test.each([
    [['-configuration', 'a.json'], 'flag provided but not defined: -configuration'],
    [['--x=1'], 'flag provided but not defined: -x'],
    [['-toString'], 'flag provided but not defined: -toString'],
    [['-config'], 'flag needs an argument: -config'],
    [['---config'], 'bad flag syntax: ---config'],
    [['-=a'], 'bad flag syntax: -=a'],
    [['-debug=yes'], 'invalid boolean value "yes" for -debug: parse error'],
    [['-logf=xml'], 'invalid value "xml" for flag -logf: use json or logfmt'],
  ])('refuses %j', (words, message) => {
    expect(() => parseCommandLine(words)).toThrow(new UsageError(message));
  });
});

describe('parseOptions', () => {
  const config = { options: { into: { type: 'string' } } } as const;

  test('gives what is asked for', () => {
    expect(parseOptions(['--into', 'x'], config).values).toEqual({ into: 'x' });
  });

  test.each([[['--onto', 'x']], [['--into']], [['x']]])('refuses %j', (words) => {
    expect(() => parseOptions(words, config)).toThrow(UsageError);
  });
});
