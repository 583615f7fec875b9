import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readConfig, resolveBeside } from './config.ts';
import { ConfigError } from './config-error.ts';
import { flag, list, port, seconds, text, whole } from './settings.ts';

const options = z.object({ realm: z.string() });
const schema = z.object({
  server: z.object({ http_addr: text(), port: port() }).prefault({}),
  caching: z
    .object({ max_age: z.object({ current: whole(300, { min: 0, max: 999 }) }).prefault({}) })
    .prefault({}),
  auth: z.object({ options: z.unknown().optional().meta({ members: options }) }).prefault({}),
  limits: z.object({ idle: seconds(75), names: list() }).prefault({}),
  production: flag(),
});

const DEFAULTS = {
  server: { http_addr: '' },
  caching: { max_age: { current: 300 } },
  auth: {},
  limits: { idle: 75_000, names: [] },
  production: false,
};

function read(settings: object, environment: Record<string, string> = {}) {
  const file = join(mkdtempSync(join(tmpdir(), 'config-')), 'server.json');
  writeFileSync(file, JSON.stringify(settings));
  const section = readConfig(schema, { file, environment, prefix: 'NOTARY_SERVER' });
  return {
    server: section('server'),
    caching: section('caching'),
    auth: section('auth'),
    limits: section('limits'),
    production: section('production'),
  };
}

describe('readConfig', () => {
  test('fills in the defaults, and ignores what nobody knows', () => {
    expect(read({ unknown: { is: 1 }, server: { tls: 'x' } })).toEqual(DEFAULTS);
  });

  test.each<[object, object]>([
    [{ server: { port: '80' } }, { server: { port: 80 } }],
    [{ server: { http_addr: 80 } }, { server: { http_addr: '80' } }],
    [{ server: null, limits: { idle: null } }, DEFAULTS],
    [{ server: { port: '' }, limits: { idle: '' } }, DEFAULTS],
    [{ production: 'True' }, { production: true }],
    [{ production: 1 }, { production: true }],
    [{ limits: { idle: '1.5', names: 'a  b' } }, { limits: { idle: 1500, names: ['a', 'b'] } }],
    [{ limits: { names: ['a b', 7] } }, { limits: { names: ['a b', '7'] } }],
  ])('reads %j leniently', (settings, expected) => {
    expect(read(settings)).toMatchObject(expected);
  });

  test('reads the names of sections in any case, but not those inside', () => {
    expect(read({ SERVER: { http_addr: ':1' } }).server.http_addr).toBe(':1');
    expect(read({ server: { HTTP_addr: ':1' } }).server.http_addr).toBe('');
  });

  test('reads whole paths at the top, before the section', () => {
    const settings = { 'Server.http_addr': ':2', server: { http_addr: ':1', port: 3 } };

    expect(read(settings).server).toEqual({ http_addr: ':2', port: 3 });
    expect(read({ 'caching.max_age.current': 1 }).caching.max_age.current).toBe(1);
  });

  test('is not led astray by names that mean something in JavaScript', () => {
    const settings = JSON.parse('{"__proto__":{"server":{"port":1}},"constructor":1}') as object;

    expect(read(settings)).toEqual(DEFAULTS);
    expect(read({ server: JSON.parse('{"__proto__":{"port":1}}') as object })).toEqual(DEFAULTS);
  });

  test('lets the environment replace a member, and a missing section', () => {
    const settings = { server: { http_addr: ':1', port: 1 } };
    const environment = {
      NOTARY_SERVER_SERVER_HTTP_ADDR: ':2',
      NOTARY_SERVER_CACHING_MAX_AGE_CURRENT: '7',
      NOTARY_SERVER_LIMITS_NAMES: ' a b ',
      NOTARY_SERVER_PRODUCTION: 'true',
    };

    expect(read(settings, environment)).toEqual({
      ...DEFAULTS,
      server: { http_addr: ':2', port: 1 },
      caching: { max_age: { current: 7 } },
      limits: { idle: 75_000, names: ['a', 'b'] },
      production: true,
    });
  });

  test.each([
    ['NOTARY_SERVER_SERVER_HTTP_ADDR', ''],
    ['notary_server_server_http_addr', ':2'],
    ['NOTARY_SIGNER_SERVER_HTTP_ADDR', ':2'],
    ['NOTARY_SERVER_AUTH_OPTIONS_REALM', 'x'],
  ])('ignores %s=%s', (name, value) => {
    expect(read({ server: { http_addr: ':1' } }, { [name]: value })).toEqual({
      ...DEFAULTS,
      server: { http_addr: ':1' },
    });
  });

  test.each([
    ['NOTARY_SERVER_SERVER', 'server must be a map'],
    ['NOTARY_SERVER_CACHING_MAX_AGE', 'caching.max_age must be a map'],
    ['NOTARY_SERVER_AUTH_OPTIONS', 'auth.options must be a map[string]interface{}'],
  ])('refuses %s, which stands for a map, by its name', (name, message) => {
    expect(() => read({}, { [name]: 'x' })).toThrow(ConfigError);
    expect(() => read({}, { [name]: 'x' })).toThrow(message);
    expect(() => read({}, { [name]: 'x' })).toThrow(`${name} cannot replace it`);
  });

  test.each<[object, string]>([
    [{ server: 'x' }, 'server must be a map of settings'],
    [{ caching: { max_age: [] } }, 'caching.max_age must be a map of settings'],
    [{ server: { http_addr: {} } }, 'server.http_addr must be text'],
    [{ server: { http_addr: ['a'] } }, 'server.http_addr must be text'],
    [{ server: { port: 0 } }, 'server.port must be at least 1'],
    [{ server: { port: 65_536 } }, 'server.port must be at most 65535'],
    [{ server: { port: 1.5 } }, 'server.port must be a whole number'],
    [{ server: { port: 'x' } }, 'server.port must be a number'],
    [{ limits: { idle: true } }, 'limits.idle must be a number'],
    [{ limits: { idle: 0 } }, 'limits.idle must be more than 0'],
    [{ limits: { names: {} } }, 'limits.names must be a list'],
    [{ production: 'yes' }, 'production must be true or false'],
  ])('refuses %j', (settings, message) => {
    expect(() => read(settings)).toThrow(ConfigError);
    expect(() => read(settings)).toThrow(message);
  });
});

test('paths are relative to the file, or to where the program runs', () => {
  expect(resolveBeside('/etc/notary/server.json', './a.crt')).toBe('/etc/notary/a.crt');
  expect(resolveBeside('/etc/notary/server.json', '/b.crt')).toBe('/b.crt');
  expect(resolveBeside(undefined, 'c.crt')).toBe(join(process.cwd(), 'c.crt'));
});
