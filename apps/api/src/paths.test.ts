import { describe, expect, test } from 'vitest';
import { resolveTarget, type Route } from './paths.ts';

const HASH = 'ab'.repeat(32);

const routeOf = (method: string, target: string): Route | string => {
  const destination = resolveTarget(method, target);
  return destination.kind === 'route' ? destination.route : destination.kind;
};
const notFound = { operation: 'NotFound' };

describe('a request target becomes a route', () => {
  test.each<[string, string, object | string]>([
    ['GET', '/v2/', { operation: 'Version' }],
    ['POST', '/v2/a/b/_trust/tuf/', { operation: 'UpdateTUF', gun: 'a/b' }],
    ['DELETE', '/v2/a/b/_trust/tuf/', { operation: 'DeleteTUF', gun: 'a/b' }],
    ['GET', '/v2/a/_trust/tuf/root.json', { operation: 'GetRole', gun: 'a', role: 'root' }],
    [
      'GET',
      `/v2/a/_trust/tuf/targets/b.${HASH}.json`,
      { operation: 'GetRoleByHash', gun: 'a', role: 'targets/b', checksum: HASH },
    ],
    [
      'GET',
      `/v2/a/_trust/tuf/root.${'F'.repeat(96)}.json`,
      { operation: 'GetRoleByHash', gun: 'a', role: 'root', checksum: 'F'.repeat(96) },
    ],
    [
      'GET',
      `/v2/a/_trust/tuf/root.${'0'.repeat(128)}.json`,
      { operation: 'GetRoleByHash', gun: 'a', role: 'root', checksum: '0'.repeat(128) },
    ],
    [
      'GET',
      '/v2/a/_trust/tuf/007.snapshot.json',
      { operation: 'GetRoleByVersion', gun: 'a', role: 'snapshot', version: '007' },
    ],
    ['GET', '/v2/a/_trust/tuf/timestamp.key', { operation: 'GetKey', gun: 'a', role: 'timestamp' }],
    [
      'POST',
      '/v2/a/_trust/tuf/snapshot.key',
      { operation: 'RotateKey', gun: 'a', role: 'snapshot' },
    ],
    ['GET', '/v2/a/_trust/changefeed', { operation: 'Changefeed', gun: 'a' }],
    ['GET', '/v2/_trust/changefeed', { operation: 'Changefeed' }],
    ['GET', '/_notary_server/health', { operation: 'Health' }],
    ['GET', '/metrics', { operation: 'Metrics' }],
    ['GET', '/_notary_server/live', { operation: 'Live' }],
    ['GET', '/_notary_server/ready', { operation: 'Ready' }],
  ])('%s %s', (method, target, route) => {
    expect(routeOf(method, target)).toEqual(route);
  });

  test.each([
    ['slashes', 'docker.io/library/x'],
    ['a port', 'localhost:5000/x'],
    ['a blank', 'a b'],
    ['a percent sign', 'a%b'],
    ['a question mark', 'a?b'],
    ['a hash', 'a#b'],
    ['quotes', `a"b'c`],
    ['another script', 'каталог/猫'],
    ['an emoji', '🦭'],
    ['upper case', 'A/B'],
    ['a line break', 'a\nb'],
    ['the marker itself', '_trust'],
    ['another whole route', 'a/_trust/tuf/b'],
    ['more than 255 characters', 'x'.repeat(300)],
    ['200 000 characters', 'x'.repeat(200_000)],
  ])('a GUN may have %s', (_what, gun) => {
    const target = `/v2/${encodeURIComponent(gun)}/_trust/tuf/root.json`;

    expect(routeOf('GET', target)).toEqual({ operation: 'GetRole', gun, role: 'root' });
  });

  test('bytes that are no UTF-8 never look like text', () => {
    expect(routeOf('POST', '/v2/%FF/_trust/tuf/')).toEqual({
      operation: 'UpdateTUF',
      gun: '\uDFFF',
    });
  });

  test('the GUN ends at the last place where a file can begin', () => {
    expect(routeOf('GET', '/v2/a/_trust/tuf/targets/_trust/tuf/x.json')).toEqual({
      operation: 'GetRole',
      gun: 'a',
      role: 'targets/_trust/tuf/x',
    });
    expect(routeOf('GET', '/v2/a/_trust/tuf/targets/_trust/tuf/root.json')).toEqual({
      operation: 'GetRole',
      gun: 'a/_trust/tuf/targets',
      role: 'root',
    });
    expect(routeOf('GET', '/v2/a/_trust/tuf/targets/*/_trust/tuf/root.json')).toEqual({
      operation: 'GetRole',
      gun: 'a',
      role: 'targets/*/_trust/tuf/root',
    });
  });

  test.each([
    '/v2',
    '/',
    '/v2/x',
    '/v2/a/_trust/tuf',
    '/v2/a/_trust/tuf/root.json/',
    '/v2/a/_trust/changefeed/',
    '/v2/a/_trust/tuf/Root.json',
    '/v2/a/_trust/tuf/root.key',
    '/v2/a/_trust/tuf/targets.key',
    '/v2/a/_trust/tuf/-1.root.json',
    `/v2/a/_trust/tuf/root.${HASH.slice(1)}.json`,
    `/v2/a/_trust/tuf/root.${HASH}a.json`,
    `/v2/a/_trust/tuf/1.root.${HASH}.json`,
    '/v2/a/_trust/tuf/targets/a%20b.json',
    '/v2/a/_trust/tuf/targets/.json',
    '/v2/a*/_trust/tuf/root.json',
    '/v2/%2A/_trust/tuf/root.json',
    '/v2/_trust/tuf/root.json',
    '/metrics/',
  ])('GET %s fits nothing', (target) => {
    expect(routeOf('GET', target)).toEqual(notFound);
  });

  test.each(['GET', 'POST', 'PUT', 'HEAD', 'DELETE'])('%s is known everywhere', (method) => {
    expect(routeOf(method, '/nowhere')).toEqual(notFound);
  });

  test.each(['PUT', 'POST', 'DELETE'])('%s is no variant of GET', (method) => {
    expect(routeOf(method, '/v2/a/_trust/tuf/root.json')).toEqual(notFound);
  });

  test.each(['root.json', '1.root.json', `root.${HASH}.json`, 'targets/a.json'])(
    'HEAD of %s is a variant of GET, unlike with the old server',
    (file) => {
      const path = `/v2/a/_trust/tuf/${file}`;
      expect(routeOf('HEAD', path)).toEqual(routeOf('GET', path));
      expect(routeOf('HEAD', path)).not.toEqual(notFound);
    },
  );

  test.each([
    '/v2/',
    '/v2/a/_trust/tuf/',
    '/v2/a/_trust/tuf/timestamp.key',
    '/v2/a/_trust/changefeed',
    '/v2/_trust/changefeed',
    '/_notary_server/health',
    '/metrics',
  ])('HEAD of %s, which is no metadata, fits nothing', (path) => {
    expect(routeOf('HEAD', path)).toEqual(notFound);
  });

  test.each(['PATCH', 'OPTIONS', 'TRACE', 'FOO', 'get'])('%s is known nowhere', (method) => {
    expect(routeOf(method, '/v2/')).toBe('wrong-method');
    expect(routeOf(method, '/nowhere')).toBe('wrong-method');
  });

  test('a line break fits no last route', () => {
    expect(routeOf('GET', '/a%0Ab')).toBe('no-page');
    expect(routeOf('PATCH', '/a%0Ab')).toBe('no-page');
    expect(routeOf('PUT', '/v2/a%0Ab/_trust/tuf/')).toBe('wrong-method');
  });

  test.each(['/v2/%zz', '/v2/%', '/v2/%4'])('%s is no target at all', (target) => {
    expect(routeOf('GET', target)).toBe('malformed');
  });
});

describe('a path is cleaned', () => {
  test.each([
    ['/v2//', '/v2/'],
    ['//v2/', '/v2/'],
    ['/v2/a%2F%2Fb/_trust/tuf/root.json?x=1', '/v2/a/b/_trust/tuf/root.json?x=1'],
    ['/v2/a/%2e%2e/b/_trust/tuf/', '/v2/b/_trust/tuf/'],
    ['/v2/%C3%A9//x', '/v2/%C3%A9/x'],
    ['/v2/./a', '/v2/a'],
    ['/v2/a/..', '/v2'],
    ['/../..', '/'],
    ['/v2//a%20b!?', '/v2/a%20b%21?'],
    ["/a//-_.~$&+,:;=@('*)", '/a/-_.~$&+,:;=@%28%27%2A%29'],
    ['http://other//v2/', '/v2/'],
    ['http://other', '/'],
    ['*', '/%2A'],
  ])('%s moves to %s', (target, location) => {
    for (const method of ['GET', 'POST', 'PATCH']) {
      expect(resolveTarget(method, target)).toEqual({ kind: 'moved', location });
    }
  });

  test('of an absolute target only the path matters', () => {
    expect(routeOf('GET', 'http://other:1/v2/')).toEqual({ operation: 'Version' });
  });

  test('the query is kept apart, raw', () => {
    expect(resolveTarget('GET', '/v2/?a=%zz?b')).toEqual({
      kind: 'route',
      route: { operation: 'Version' },
      query: 'a=%zz?b',
    });
  });
});

test.each([
  ['delegations all over', `/v2/a${'/_trust/tuf/targets/x'.repeat(45_000)}`],
  ['digits', `/v2/a/_trust/tuf/${'1'.repeat(900_000)}`],
  ['versioned delegations', `/v2/a${'/_trust/tuf/1.targets/x'.repeat(40_000)}`],
  ['dots', `/v2/a/_trust/tuf/targets/${'.'.repeat(900_000)}`],
  ['stars', `/v2/*${'/_trust/tuf/root.json'.repeat(40_000)}`],
])('a long path is matched in linear time: %s', (_what, target) => {
  const started = performance.now();

  expect(routeOf('GET', target)).toEqual(notFound);

  expect(performance.now() - started).toBeLessThan(1500);
});
