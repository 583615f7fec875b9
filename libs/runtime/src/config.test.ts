import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError, readConfig } from './config.ts';

const schema = z.object({
  server: z.object({ http_addr: z.string() }),
  caching: z
    .object({
      max_age: z.object({ current_metadata: z.coerce.number().default(300) }).prefault({}),
    })
    .prefault({}),
});

const file = (text: string) => {
  const path = join(mkdtempSync(join(tmpdir(), 'config-')), 'server.json');
  writeFileSync(path, text);
  return path;
};
const read = (text: string, environment = {}) =>
  readConfig(schema, { file: file(text), environment, prefix: 'NOTARY_SERVER' });

describe('readConfig', () => {
  test('takes the file and fills in the defaults', () => {
    expect(read('{"server":{"http_addr":":4443"}}')).toEqual({
      server: { http_addr: ':4443' },
      caching: { max_age: { current_metadata: 300 } },
    });
  });

  test('lets the environment replace a member and a missing section', () => {
    const config = read('{"server":{"http_addr":":1"}}', {
      NOTARY_SERVER_SERVER_HTTP_ADDR: ':2',
      NOTARY_SERVER_CACHING_MAX_AGE_CURRENT_METADATA: '7',
    });

    expect(config).toEqual({
      server: { http_addr: ':2' },
      caching: { max_age: { current_metadata: 7 } },
    });
  });

  test('ignores empty variables', () => {
    const config = read('{"server":{"http_addr":":1"}}', { NOTARY_SERVER_SERVER_HTTP_ADDR: '' });

    expect(config.server.http_addr).toBe(':1');
  });

  test.each(['[]', '{', '"a"', '{"server":{}}', '{"server":{"http_addr":1}}'])(
    'refuses %s',
    (text) => {
      expect(() => read(text)).toThrow(ConfigError);
    },
  );

  test('refuses a file that is not there', () => {
    expect(() =>
      readConfig(schema, { file: '/nowhere/x.json', environment: {}, prefix: 'X' }),
    ).toThrow('cannot read the configuration file /nowhere/x.json');
  });
});
