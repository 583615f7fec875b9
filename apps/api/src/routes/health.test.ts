import { gunzipSync } from 'node:zlib';
import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { firstPublish, gunOf } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const scrapeWith = (server: TestServer, headers: OutgoingHttpHeaders) =>
  new Promise<IncomingMessage>((resolve) => {
    request({ port: server.port, path: '/metrics', headers, agent: false }, resolve).end();
  });

describe('health', () => {
  let wrong: Record<string, string> = {};
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({
      deps: { health: async () => wrong, ready: async () => wrong },
    });
  });
  afterAll(() => server.close());

  const bad = { 'DB operational': 'no <answer>' };
  const badText = '{"DB operational":"no \\u003canswer\\u003e"}';
  test.each([
    ['health', 200, {}, '{}'],
    ['health', 503, bad, badText],
    ['ready', 200, {}, '{}'],
    ['ready', 503, bad, badText],
    ['live', 200, bad, '{}'],
  ])('of %s is %i for %j', async (page, status, checks, body) => {
    wrong = checks;

    expect(await server.request('GET', `/_notary_server/${page}`)).toEqual({
      status,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'content-length': String(body.length),
      },
      body,
    });
  });
});

describe('readiness', () => {
  test('is a matter of its own', async () => {
    const draining = { draining: 'this process is stopping' };
    const server = await startTestServer({ deps: { ready: async () => draining } });

    expect((await server.request('GET', '/_notary_server/ready')).status).toBe(503);
    expect((await server.request('GET', '/_notary_server/health')).status).toBe(200);
    await server.close();
  });
});

describe('metrics', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  const scrape = async () => (await server.request('GET', '/metrics')).body;

  test('have a summary for each operation from the start', async () => {
    const body = await scrape();

    for (const family of [
      'request_duration_microseconds',
      'request_size_bytes',
      'response_size_bytes',
    ]) {
      for (const operation of [
        'UpdateTUF',
        'GetRoleByHash',
        'GetRoleByVersion',
        'GetRole',
        'GetKey',
        'RotateKey',
        'DeleteTUF',
        'Changefeed',
      ]) {
        const name = `notary_server_http_${family}`;
        expect(body).toContain(`\n${name}{operation="${operation}",quantile="0.5"} `);
        expect(body).toContain(`\n${name}{operation="${operation}",quantile="0.9"} `);
        expect(body).toContain(`\n${name}{operation="${operation}",quantile="0.99"} `);
        expect(body).toContain(`\n${name}_sum{operation="${operation}"} `);
        expect(body).toContain(`\n${name}_count{operation="${operation}"} `);
      }
    }
    expect(body).toContain('\nprocess_cpu_seconds_total ');
  });

  test('count requests by code, method and operation; 0 for a success without a body', async () => {
    await firstPublish(server, gunOf('a'));
    await server.request('GET', '/v2/a/_trust/tuf/root.json');
    await server.request('GET', '/v2/a/_trust/tuf/9.root.json');
    await server.request('DELETE', '/v2/a/_trust/tuf/');
    await server.request('GET', '/v2/');
    await server.request('GET', '/_notary_server/live');
    await server.request('GET', '/_notary_server/ready');
    await server.request('GET', '/nowhere');

    const counted = (await scrape()).match(/notary_server_http_requests_total\{.*/g);

    expect(counted?.sort()).toEqual([
      'notary_server_http_requests_total{code="0",method="delete",operation="DeleteTUF"} 1',
      'notary_server_http_requests_total{code="0",method="post",operation="UpdateTUF"} 1',
      'notary_server_http_requests_total{code="200",method="get",operation="GetKey"} 2',
      'notary_server_http_requests_total{code="200",method="get",operation="GetRole"} 1',
      'notary_server_http_requests_total{code="404",method="get",operation="GetRoleByVersion"} 1',
    ]);
    expect(await scrape()).toContain(
      '\nnotary_server_http_request_duration_microseconds_count{operation="GetRole"} 1\n',
    );
  });

  test('are text, and compressed for who asks for it', async () => {
    const plain = await scrapeWith(server, {});
    expect(plain.headers['content-type']).toBe('text/plain; version=0.0.4');
    expect(plain.headers).not.toHaveProperty('content-encoding');
    plain.resume();

    const compressed = await scrapeWith(server, { 'Accept-Encoding': 'deflate, gzip' });
    expect(compressed.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(await buffer(compressed)).toString()).toContain('notary_server_http_');
  });
});
