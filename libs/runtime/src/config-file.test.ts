import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, UnparsableConfig } from './config-error.ts';
import { readConfigFile } from './config-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-file-'));
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const SETTINGS = { server: { http_addr: ':4443' }, repositories: { gun_prefixes: ['a/', 'b/'] } };
const YAML = 'server:\n  http_addr: :4443\nrepositories:\n  gun_prefixes: [a/, b/]\n';

describe('readConfigFile', () => {
  test.each([
    ['a.json', JSON.stringify(SETTINGS)],
    ['a.yaml', YAML],
    ['a.yml', YAML],
    [
      'a.toml',
      '[server]\nhttp_addr = ":4443"\n[repositories]\ngun_prefixes = ["a/", "b/"] # ours\n',
    ],
  ])('reads %s', (name, text) => {
    expect(readConfigFile(file(name, text))).toEqual(SETTINGS);
  });

  test('reads anchors and merges of YAML', () => {
    const text = 'base: &base {backend: memory}\nstorage:\n  <<: *base\n';

    expect(readConfigFile(file('b.yaml', text))).toMatchObject({ storage: { backend: 'memory' } });
  });

  test('takes an empty YAML for an empty map', () => {
    expect(readConfigFile(file('empty.yml', '# nothing\n'))).toEqual({});
  });

  test('does not look at other files beside it', () => {
    file('c.json', '{"from":"json"}');

    expect(readConfigFile(file('c.toml', 'from = "toml"'))).toEqual({ from: 'toml' });
  });

  test.each([
    ['x.foo', 'Unsupported Config Type "foo"'],
    ['x.JSON', 'Unsupported Config Type "JSON"'],
    ['x', 'Unsupported Config Type ""'],
    ['x.json/y', 'Unsupported Config Type ""'],
    ['x.properties', 'Unsupported Config Type "properties": write it as JSON, YAML or TOML'],
    ['none.json', 'open : no such file or directory'],
    ['folder.json', 'open : is a directory'],
  ])('does not read %s', (name, reason) => {
    mkdirSync(join(folder, 'folder.json'), { recursive: true });
    const path = join(folder, name);

    expect(() => readConfigFile(path)).toThrow(
      new ConfigError(`could not read config at :${path}, viper error: ${reason}`),
    );
  });

  test.each([
    ['a.json', ''],
    ['a.json', '{'],
    ['a.json', '{"password": hunter2}'],
    ['a.json', '{"password": "hunter2" "x"}'],
    ['a.json', '"hunter2"'],
    ['a.json', '["hunter2"]'],
    ['a.yaml', 'password: "hunter2'],
    ['a.yaml', 'password: hunter2: x'],
    ['a.yaml', '- hunter2'],
    ['a.yaml', 'a: hunter2\n---\nb: 1\n'],
    ['a.toml', 'password = hunter2'],
    ['a.toml', 'password = "hunter2'],
  ])('refuses %s with %j without repeating what is in it', (name, text) => {
    const path = file(`bad-${name}`, text);

    expect(() => readConfigFile(path)).toThrow(UnparsableConfig);
    expect(() => readConfigFile(path)).toThrow(/^Error parsing config: ((?!hunter2).)+$/s);
  });
});
