import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError } from './config-error.ts';
import { parseRedis, readJobKeys, redisShape, tlsClientShape } from './redis-settings.ts';
import { port, text } from './settings.ts';

const schema = z.object({ hostname: text(), port: port(), ...tlsClientShape, ...redisShape });
const folder = mkdtempSync(join(tmpdir(), 'redis-'));
const beside = (path: string) => join(folder, path);
const parse = (settings: object) => parseRedis('queue', schema.parse(settings), beside);

describe('the Redis of a queue', () => {
  test('is on this machine, and without TLS, where nothing is said', () => {
    expect(parse({})).toEqual({ mode: 'single', hostname: '127.0.0.1', port: 6379, nodes: [] });
  });

  test('may be known to sentinels', () => {
    const settings = { mode: 'sentinel', nodes: 'a:26379 [::1]:26380', master: 'scrivener' };

    expect(parse({ ...settings, username: 'api', password: 'x' })).toMatchObject({
      mode: 'sentinel',
      nodes: [
        { host: 'a', port: 26_379 },
        { host: '::1', port: 26_380 },
      ],
      master: 'scrivener',
      username: 'api',
      password: 'x',
    });
  });

  test('may be a cluster', () => {
    expect(parse({ mode: 'cluster', nodes: ['a:1', 'b:2'] })).toMatchObject({
      mode: 'cluster',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    });
  });

  test.each<[object, string]>([
    [{ mode: 'double' }, 'queue.mode must be "single", "sentinel" or "cluster"'],
    [{ nodes: ['a:1'] }, 'queue.nodes need a queue.mode "sentinel" or "cluster"'],
    [{ mode: 'cluster' }, 'queue.mode "cluster" needs queue.nodes'],
    [{ mode: 'sentinel', nodes: ['a:1'] }, 'needs the name of the queue.master'],
    [{ mode: 'cluster', nodes: ['a'] }, 'queue.nodes: "a" is no host:port'],
    [{ mode: 'cluster', nodes: ['a:0'] }, 'queue.nodes: "a:0" is no host:port'],
    [{ mode: 'cluster', nodes: ['a:65536'] }, 'queue.nodes: "a:65536" is no host:port'],
    [{ mode: 'cluster', nodes: [':1'] }, 'queue.nodes: ":1" is no host:port'],
    [{ tls_client_cert: 'a.crt' }, 'either pass both client key and cert, or neither'],
    [
      { tls_ca_file: 'none.crt' },
      'unable to configure TLS to the Redis of queue: could not read CA certificate "',
    ],
  ])('is refused as %j', (settings, message) => {
    expect(() => parse(settings)).toThrow(ConfigError);
    expect(() => parse(settings)).toThrow(message);
  });
});

describe('readJobKeys', () => {
  const read = (file: string) =>
    readJobKeys('queue', file, beside, (keys) => {
      if (keys === '') throw new Error('no key in it');
      return keys.trim();
    });

  test('has the file parsed', () => {
    writeFileSync(beside('jobs.key'), 'secret\n');

    expect(read('jobs.key')).toBe('secret');
  });

  test.each([
    ['', 'queue.job_key_file is required'],
    ['none.key', `queue.job_key_file: open ${beside('none.key')}: no such file or directory`],
    ['empty.key', 'queue.job_key_file: no key in it'],
  ])('refuses "%s"', (file, message) => {
    writeFileSync(beside('empty.key'), '');

    expect(() => read(file)).toThrow(ConfigError);
    expect(() => read(file)).toThrow(message);
  });
});
