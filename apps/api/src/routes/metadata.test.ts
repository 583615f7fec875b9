import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { keepNothing } from '../hot/kept-files.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const GUN = gunOf('docker.io/library/alpine');
const NOW = new Date('2026-11-22T10:28:37.927Z');
const at = (file: string, gun: string = GUN) => `/v2/${gun}/_trust/tuf/${file}`;
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const notFound = (detail = ',"detail":{}') => {
  const body = `{"errors":[{"code":"METADATA_NOT_FOUND","message":"You have requested metadata that does not exist."${detail}}]}\n`;
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(body.length),
  };
  return { status: 404, headers, body };
};

let server: TestServer;
let root: string;
let now = NOW;
beforeAll(async () => {
  server = await startTestServer({ now: () => now });
  const owner = await firstPublish(server, GUN, { now });
  await post(server, GUN, [owner.targets({ second: 'content' })]);
  root = (await server.request('GET', at('root.json'))).body;
});
afterAll(() => server.close());

const download = (bytes: string, cacheControl: string) => ({
  status: 200,
  headers: {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(Buffer.byteLength(bytes)),
    'cache-control': cacheControl,
    'last-modified': 'Sun, 22 Nov 2026 10:28:37 UTC',
    etag: `"${sha256(bytes)}"`,
  },
  body: bytes,
});
const unchanged = (bytes: string, cacheControl: string) => {
  const {
    'content-type': _,
    'content-length': __,
    ...headers
  } = download(bytes, cacheControl).headers;
  return { status: 304, headers, body: '' };
};
const rawRequest = (method: string, more = '') =>
  `${method} ${at('root.json')} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const FOR_NOW = 'public, max-age=300, s-maxage=300, must-revalidate';
const FOR_EVER = 'public, max-age=2592000, s-maxage=2592000';

describe('a download', () => {
  test('of the current version has exactly the old headers, and an ETag of ours', async () => {
    expect(await server.request('GET', at('root.json'))).toEqual(download(root, FOR_NOW));
  });

  test.each(['1.root.json', '001.root.json', '1.root.json?x=1'])(
    'of %s may be kept longer',
    async (file) => {
      expect(await server.request('GET', at(file))).toEqual(download(root, FOR_EVER));
    },
  );

  test('by checksum may be kept longer', async () => {
    expect(await server.request('GET', at(`root.${sha256(root)}.json`))).toEqual(
      download(root, FOR_EVER),
    );
  });

  test.each([
    { 'If-Modified-Since': 'Sun, 22 Nov 2026 10:28:37 GMT' },
    { Range: 'bytes=0-1' },
    { 'Accept-Encoding': 'gzip' },
    { 'If-None-Match': `"${sha256('other bytes')}"` },
    { 'If-None-Match': '' },
    { 'If-Match': '"other bytes"' },
  ])('is whole whatever %j asks for', async (headers) => {
    expect(await server.request('GET', at('root.json'), { headers })).toEqual(
      download(root, FOR_NOW),
    );
  });

  test.each([
    ['root.json', FOR_NOW],
    ['1.root.json', FOR_EVER],
    ['by checksum', FOR_EVER],
  ])('of %s is 304 for whoever has it, unlike with the old server', async (file, cacheControl) => {
    const path = at(file === 'by checksum' ? `root.${sha256(root)}.json` : file);
    const tag = `"${sha256(root)}"`;
    for (const tags of [tag, `W/${tag}`, `"a,b", ${tag},W/"c"`, '*', ' * ']) {
      const headers = { 'If-None-Match': tags };
      expect(await server.request('GET', path, { headers })).toEqual(unchanged(root, cacheControl));
      expect(await server.request('HEAD', path, { headers })).toEqual(
        unchanged(root, cacheControl),
      );
    }
  });

  test('of the next version is whole for whoever has the last one', async () => {
    const first = await server.request('GET', at('1.targets.json'));
    const headers = { 'If-None-Match': first.headers['etag'] };

    expect(await server.request('GET', at('targets.json'), { headers })).toMatchObject({
      status: 200,
    });
    expect(await server.request('GET', at('1.targets.json'), { headers })).toMatchObject({
      status: 304,
    });
  });

  test('leaves the connection usable behind a 304 and a HEAD', async () => {
    const tag = `If-None-Match: "${sha256(root)}"\r\n`;

    const answers = await server.raw(
      rawRequest('GET', tag) + rawRequest('HEAD') + rawRequest('GET', 'Connection: close\r\n'),
    );

    expect(answers.match(/^HTTP\/1\.1 \d+/gm)).toEqual([
      'HTTP/1.1 304',
      'HTTP/1.1 200',
      'HTTP/1.1 200',
    ]);
    expect(answers.split(root)).toHaveLength(2);
  });

  test.each(['root.json', '1.root.json', 'timestamp.json'])(
    'of %s by HEAD has the headers of a GET and no body, unlike with the old server',
    async (file) => {
      const { status, headers } = await server.request('GET', at(file));
      expect(await server.request('HEAD', at(file))).toEqual({ status, headers, body: '' });
    },
  );

  test('gives the highest version; the old ones stay', async () => {
    const versions = await Promise.all(
      ['targets.json', '1.targets.json', '2.targets.json', '2.timestamp.json'].map(async (file) => {
        const { body } = await server.request('GET', at(file));
        return z.object({ signed: z.object({ version: z.number() }) }).parse(JSON.parse(body))
          .signed.version;
      }),
    );

    expect(versions).toEqual([2, 1, 2, 2]);
  });
});

describe('nothing is found', () => {
  test.each([
    ['version 0', at('0.root.json')],
    ['a version that is not there', at('2.root.json')],
    ['another repository', at('root.json', 'docker.io/library/Alpine')],
    ['a role that is not there', at('targets/a.json')],
    ['a role that cannot be', at('targets/A.b.json')],
    ['a checksum that is not there', at(`root.${sha256('x')}.json`)],
  ])('for %s', async (_what, path) => {
    expect(await server.request('GET', path)).toEqual(notFound());
  });

  test('for the checksum in upper case, of another role, or of another kind', async () => {
    const upper = sha256(root).toUpperCase();
    const sha384 = createHash('sha384').update(root).digest('hex');
    const sha512 = createHash('sha512').update(root).digest('hex');
    const files = [
      `root.${upper}.json`,
      `root.${sha384}.json`,
      `root.${sha512}.json`,
      `targets.${sha256(root)}.json`,
    ];

    const answers = await Promise.all(files.map((file) => server.request('GET', at(file))));

    expect(answers).toEqual(files.map(() => notFound()));
  });

  test.each(['9223372036854775808', '0'.repeat(30) + '9223372036854775808', '9'.repeat(100_000)])(
    'for a version beyond int64',
    async (digits) => {
      expect(await server.request('GET', at(`${digits}.root.json`))).toEqual(
        notFound(`,"detail":{"Func":"Atoi","Num":"${digits}","Err":{}}`),
      );
    },
  );

  test.each([
    ['HEAD', '/v2/'],
    ['HEAD', at('timestamp.key')],
    ['HEAD', `/v2/${GUN}/_trust/changefeed?records=1`],
    ['HEAD', '/_notary_server/health'],
    ['PUT', at('root.json')],
    ['POST', at('root.json')],
    ['DELETE', at('root.json')],
    ['GET', at('')],
    ['GET', at('root.json/')],
    ['GET', '/v2'],
    ['GET', '/'],
  ])('by %s %s, without detail', async (method, path) => {
    const expected = notFound('');
    expect(await server.request(method, path)).toEqual(
      method === 'HEAD' ? { ...expected, body: '' } : expected,
    );
    expect(expected.headers['content-length']).toBe('104');
  });
});

/** A proxy may keep only what says that it may: nothing here does, so it must keep none of it. */
test.each([
  ['GET', '/v2/', 200],
  ['GET', at('timestamp.key'), 200],
  ['GET', `/v2/${GUN}/_trust/changefeed?records=1`, 200],
  ['GET', '/_notary_server/health', 200],
  ['GET', '/metrics', 200],
  ['GET', at('root.json', 'example.com/unpublished'), 404],
  ['GET', at('2.root.json'), 404],
  ['GET', at(`root.${sha256('x')}.json`), 404],
  ['GET', `/v2/${GUN}/_trust/changefeed?records=x`, 400],
  ['POST', at(''), 400],
  ['DELETE', at('', 'example.com/unpublished'), 200],
  ['PATCH', at('root.json'), 405],
])('%s %s says nothing to caches', async (method, path, status) => {
  const answer = await server.request(method, path);

  expect(answer.status).toBe(status);
  const names = Object.keys(answer.headers);
  expect(
    names.filter((name) => /^(cache-control|pragma|expires|etag|last-modified|age)$/.test(name)),
  ).toEqual([]);
});

test('HEAD of what is not there has the headers of the 404 and no body', async () => {
  const path = at('root.json', 'example.com/unpublished');
  expect(await server.request('HEAD', path)).toEqual({ ...notFound(), body: '' });
});

test.each(['PATCH', 'OPTIONS', 'TRACE'])('%s is 405 with an empty body', async (method) => {
  expect(await server.request(method, at('root.json'))).toEqual({
    status: 405,
    headers: { 'content-length': '0' },
    body: '',
  });
});

test.each(['GET', 'POST', 'PATCH', 'DELETE'])('%s of an unclean path is moved', async (method) => {
  expect(await server.request(method, '/v2/a%2F%2Fb/_trust/tuf/root.json?x=1')).toEqual({
    status: 301,
    headers: { 'content-length': '0', location: '/v2/a/b/_trust/tuf/root.json?x=1' },
    body: '',
  });
});

test('a path with a line break is no page', async () => {
  const nosniff = {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
  };
  expect(await server.request('GET', '/v2/a%0Ab')).toEqual({
    status: 404,
    headers: { ...nosniff, 'content-length': '19' },
    body: '404 page not found\n',
  });
});

test('caching can be forbidden', async () => {
  const { readModel, ...deps } = server.deps;
  const caching = { current: 0, consistent: 0 };
  // what is kept has the headers of the process that keeps it
  const uncached = await startTestServer({
    deps: { ...deps, readModel, caching, kept: keepNothing },
  });

  for (const file of ['root.json', '1.root.json', 'timestamp.json']) {
    const { headers } = await uncached.request('GET', at(file));
    expect(headers).toMatchObject({
      'cache-control': 'max-age=0, no-cache, no-store',
      pragma: 'no-cache',
      'last-modified': 'Sun, 22 Nov 2026 10:28:37 UTC',
    });
  }
  await uncached.close();
});

test('an expired timestamp is renewed when it is read', async () => {
  const version = async (role: string) => {
    const { body } = await server.request('GET', at(`${role}.json`));
    return /"version":(\d+)/.exec(body)?.[1];
  };
  expect([await version('timestamp'), await version('snapshot')]).toEqual(['2', '2']);

  now = new Date('2026-12-07T10:00:00Z');

  expect([await version('timestamp'), await version('snapshot')]).toEqual(['3', '2']);
  const { headers } = await server.request('GET', at('timestamp.json'));
  expect(headers['last-modified']).toBe('Mon, 07 Dec 2026 10:00:00 UTC');
  now = NOW;
});

test('GUN prefixes: others are not found, and may not publish', async () => {
  const strict = await startTestServer({ deps: { gunPrefixes: ['a/', 'b/'] } });

  expect(await strict.request('GET', at('root.json', 'ab'))).toEqual(notFound(''));
  expect(await strict.request('GET', at('timestamp.key', 'A/b'))).toEqual(notFound(''));
  expect(await strict.request('DELETE', at('', 'c'))).toEqual(notFound(''));
  expect(await strict.request('GET', '/v2/c/_trust/changefeed')).toEqual(notFound(''));
  expect(await strict.request('GET', at('root.json', 'a/b'))).toEqual(notFound());
  expect(await strict.request('GET', '/v2/_trust/changefeed?records=1')).toMatchObject({
    status: 200,
  });
  expect(await strict.request('POST', at('', 'ab'))).toMatchObject({
    status: 400,
    body: '{"errors":[{"code":"INVALID_GUN","message":"The server does not support actions on images of this name.","detail":"Require GUNs with prefix: [a/ b/]"}]}\n',
  });
  await strict.close();
});

test.each([
  ['U+0000', 'a%00b'],
  ['bytes that are no UTF-8', 'a%FFb'],
])('a GUN with %s is stored nowhere', async (_what, gun) => {
  expect(await server.request('GET', at('root.json', gun))).toEqual(notFound(''));
  expect(await server.request('GET', at('timestamp.key', gun))).toEqual(notFound(''));
  expect(await server.request('DELETE', at('', gun))).toEqual(notFound(''));
  expect(await server.request('POST', at('', gun))).toMatchObject({
    status: 400,
    body: '{"errors":[{"code":"INVALID_GUN","message":"The server does not support actions on images of this name."}]}\n',
  });
});
