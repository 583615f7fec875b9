import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createMetrics, type Metrics } from './monitoring/metrics.ts';
import { firstPublish, gunOf, post } from './testing/client.ts';
import { startTestServer, type TestServer } from './testing/server.ts';

const head = (answer: string) => answer.slice(0, answer.indexOf('\r\n'));
const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n') + 4);
const NOT_FOUND =
  '{"errors":[{"code":"METADATA_NOT_FOUND","message":"You have requested metadata that does not exist."}]}\n';
const MALFORMED =
  '{"errors":[{"code":"MALFORMED_UPLOAD","message":"The body of your request is malformed."}]}\n';

describe('over plain HTTP', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  describe('below the routes', () => {
    test.each([
      ['no Host', 'GET /v2/ HTTP/1.1\r\n\r\n', 400],
      ['two Hosts', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
      ['garbage', 'hello\r\n\r\n', 400],
      ['no version', 'GET /v2/\r\n\r\n', 400],
      ['a blank in a header name', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n', 400],
      [
        'two lengths',
        'POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
        400,
      ],
      ['a broken escape', 'GET /v2/%zz HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      ['a relative target', 'GET v2/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      [
        'a foreign encoding',
        'POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n',
        501,
      ],
      [
        'a foreign encoding, then chunked',
        'POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
        501,
      ],
      ['headers beyond 1 MiB', `GET /v2/ HTTP/1.1\r\nX: ${'x'.repeat(1_100_000)}\r\n\r\n`, 431],
      ['a target beyond 1 MiB', `GET /${'x'.repeat(1_100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
    ])('%s', async (_what, request, status) => {
      const answer = await server.raw(request);

      expect(head(answer)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer).toMatch(/^Content-Type: text\/plain; charset=utf-8\r$/m);
      expect(answer).toMatch(/^Connection: close\r$/m);
      expect(bodyOf(answer)).not.toContain('{');
    });

    test('a target of 200 kB and a header of 900 kB are served', async () => {
      const answer = await server.raw(
        `GET /v2/${'x'.repeat(200_000)} HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(700_000)}\r\nConnection: close\r\n\r\n`,
      );

      expect(head(answer)).toBe('HTTP/1.1 404 Not Found');
      expect(bodyOf(answer)).toBe(NOT_FOUND);
    });

    test('HTTP/1.0 needs no Host', async () => {
      expect(bodyOf(await server.raw('GET /v2/ HTTP/1.0\r\n\r\n'))).toBe('{}');
    });

    test('OPTIONS * is 200 with an empty body', async () => {
      const answer = await server.raw('OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');

      expect(head(answer)).toBe('HTTP/1.1 200 OK');
      expect(answer).toMatch(/^Content-Length: 0\r$/m);
      expect(bodyOf(answer)).toBe('');
    });

    test.each(['CONNECT', 'FOO', 'get', 'M-SEARCH'])(
      '%s is 405 with an empty body',
      async (method) => {
        const answer = await server.raw(
          `${method} /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
        );

        expect(head(answer)).toBe('HTTP/1.1 405 Method Not Allowed');
        expect(answer).not.toMatch(/^(content-type|allow):/im);
        expect(bodyOf(answer)).toBe('');
      },
    );

    test('another Expect is 417 with an empty body', async () => {
      const answer = await server.raw(
        'GET /v2/ HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n',
      );

      expect(head(answer)).toBe('HTTP/1.1 417 Expectation Failed');
      expect(bodyOf(answer)).toBe('');
    });

    test('an absolute target is served by its path', async () => {
      const answer = await server.raw(
        'GET http://other/v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      );

      expect(bodyOf(answer)).toBe('{}');
    });

    test('requests in one packet are answered in order', async () => {
      const answer = await server.raw(
        'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      );

      expect(answer.match(/HTTP\/1\.1 \d{3} [\w ]+/g)).toEqual([
        'HTTP/1.1 200 OK',
        'HTTP/1.1 404 Not Found',
      ]);
    });
  });

  test('a client that has closed its half still gets its answer, and then the other half', async () => {
    const started = performance.now();
    const socket = server.connect();
    socket.end('GET /v2/a/_trust/tuf/timestamp.key HTTP/1.1\r\nHost: a\r\n\r\n');

    expect(head(await text(socket))).toBe('HTTP/1.1 200 OK');
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test('what comes behind a request does not spoil its answer', async () => {
    const answer = await server.raw('DELETE /v2/a/_trust/tuf/ HTTP/1.1\r\nHost: a\r\n\r\ngarbage');

    expect(answer.match(/HTTP\/1\.1 .*/g)).toEqual(['HTTP/1.1 200 OK']);
  });

  test('an answer has these headers and no others', async () => {
    const answer = await server.raw('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n');

    expect(answer).toMatch(
      /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/plain; charset=utf-8\r\nContent-Length: 2\r\nDate: [^\r]+ GMT\r\n\r\n\{\}HTTP/,
    );
  });

  describe('Expect: 100-continue', () => {
    const form = '--b--';
    const request = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n` +
      `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${form.length}\r\n\r\n`;

    test('is answered with 100 by who reads the body', async () => {
      const socket = server.connect();
      socket.write(request('/v2/a/_trust/tuf/'));
      const [first] = await once(socket, 'data');

      expect(String(first)).toBe('HTTP/1.1 100 Continue\r\n\r\n');

      socket.write(form);
      expect(head(await text(socket))).toBe('HTTP/1.1 400 Bad Request');
    });

    test('is not answered with 100 by who does not', async () => {
      const socket = server.connect();
      socket.write(request('/v2/x'));
      const [first] = await once(socket, 'data');

      expect(head(String(first))).toBe('HTTP/1.1 404 Not Found');
      socket.destroy();
    });
  });

  describe('a body that breaks off', () => {
    const start =
      'POST /v2/a/_trust/tuf/ HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n';

    test.each([
      ['short of its length', `${start}Content-Length: 100\r\n\r\n--b\r\n`],
      ['between chunks', `${start}Transfer-Encoding: chunked\r\n\r\n5\r\n--b\r\n\r\n`],
      ['in a broken chunk', `${start}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ])('%s is MALFORMED_UPLOAD', async (_what, request) => {
      const socket = server.connect();
      socket.end(request);
      const answer = await text(socket);

      expect(head(answer)).toBe('HTTP/1.1 400 Bad Request');
      expect(answer).toMatch(/^Content-Type: application\/json; charset=utf-8\r$/m);
      expect(bodyOf(answer)).toBe(MALFORMED);
    });
  });
});

describe('time limits', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ times: { headersMs: 400, requestMs: 800 } });
  });
  afterAll(() => server.close());

  test('slow headers are cut off with 408', async () => {
    expect(head(await server.raw('GET /v2/ HTTP/1.1\r\nHost: a\r\n'))).toBe(
      'HTTP/1.1 408 Request Timeout',
    );
  });

  test('a slow upload is cut off with 408 and an error that clients can read', async () => {
    const answer = await server.raw(
      'POST /v2/a/_trust/tuf/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n' +
        'Content-Type: multipart/form-data; boundary=b\r\n\r\n--b',
    );

    expect(head(answer)).toBe('HTTP/1.1 408 Request Timeout');
    expect(bodyOf(answer)).toBe(MALFORMED);
  });
});

describe('over TLS', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ tls: true });
  });
  afterAll(() => server.close());

  test('requests are served', async () => {
    expect(await server.request('GET', '/v2/')).toEqual({
      status: 200,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'content-length': '2' },
      body: '{}',
    });
  });

  test.each(['GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n', 'POST / HTTP/1.0\r\n\r\n'])(
    'plain HTTP is told so: %j',
    async (request) => {
      expect(await server.raw(request)).toBe(
        'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n',
      );
    },
  );

  const handshake = async (options: object) => {
    const socket = connectTls({
      port: server.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...options,
    });
    try {
      await once(socket, 'secureConnect');
      return { protocol: socket.getProtocol(), alpn: socket.alpnProtocol };
    } finally {
      socket.destroy();
    }
  };

  test('h2 is never chosen', async () => {
    expect(await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).toMatchObject({
      alpn: 'http/1.1',
    });
  });

  test('TLS 1.2 is the oldest', async () => {
    expect(await handshake({ maxVersion: 'TLSv1.2' })).toMatchObject({ protocol: 'TLSv1.2' });
    await expect(
      handshake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow(/alert|protocol version|no protocols/);
  });

  test('a client that is split into single bytes is understood', async () => {
    const socket = server.connect();
    socket.write(Buffer.from([0x16]));
    await sleep(50);
    socket.end(Buffer.from('030100', 'hex'));

    // Not a whole handshake: the server hangs up without a word of HTTP.
    expect(await text(socket)).not.toContain('HTTP');
  });
});

test('with a client CA only clients with a certificate of it are served', async () => {
  const server = await startTestServer({ tls: 'mutual' });

  expect(await server.request('GET', '/v2/')).toMatchObject({ status: 200 });

  const stranger = connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
  stranger.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n');
  await expect(text(stranger)).rejects.toThrow(/alert|ECONNRESET|EPIPE/);
  await server.close();
});

describe('close', () => {
  test('finishes what is in flight and closes idle connections', async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const { promise: health, resolve: answer } = Promise.withResolvers<Record<string, string>>();
    const server = await startTestServer({
      deps: {
        health: () => {
          ask();
          return health;
        },
      },
    });
    const idle = server.connect();
    idle.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(idle, 'data');
    const silent = server.connect();
    await once(silent, 'connect');
    const busy = server.connect();
    busy.write('GET /_notary_server/health HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked;

    const closed = server.close();
    await Promise.all([once(idle.resume(), 'close'), once(silent.resume(), 'close')]);
    answer({});

    const last = await text(busy);
    expect(head(last)).toBe('HTTP/1.1 200 OK');
    expect(last).toMatch(/^Connection: close\r$/m);
    await closed;
  });

  test('finishes what is in flight over TLS', async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const { promise: health, resolve: answer } = Promise.withResolvers<Record<string, string>>();
    const server = await startTestServer({
      tls: true,
      deps: {
        health: () => {
          ask();
          return health;
        },
      },
    });
    const options = { port: server.port, host: '127.0.0.1', rejectUnauthorized: false };
    const idle = connectTls(options);
    await once(idle, 'secureConnect');
    const busy = connectTls(options);
    busy.write('GET /_notary_server/health HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked;

    const closed = server.close();
    await once(idle.resume(), 'close');
    answer({});

    expect(head(await text(busy))).toBe('HTTP/1.1 200 OK');
    await closed;
  });

  test.each([false, true])(
    'sends all of what was answered from memory to a client that reads late (TLS: %s)',
    async (tls) => {
      let answered = 0;
      const metrics = createMetrics();
      const observeKept: Metrics['observeKept'] = (...kept) => {
        answered += 1;
        metrics.observeKept(...kept);
      };
      const server = await startTestServer({ tls, deps: { metrics: { ...metrics, observeKept } } });
      const gun = gunOf('big');
      const owner = await firstPublish(server, gun);
      const names = Array.from({ length: 5_000 }, (_, index) => [`file-${index}`, 'content']);
      await post(server, gun, [owner.targets(Object.fromEntries(names))]);
      const target = `/v2/big/_trust/tuf/targets.json`;
      const { headers } = await server.request('GET', target);
      const socket = tls
        ? connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false })
        : server.connect();

      socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(40));
      await vi.waitUntil(() => answered > 0, 20_000);
      await sleep(100); // the network takes in what it can, and then no more
      const closed = server.close();

      const received = await text(socket);
      const bodies = received.split('\r\n\r\n').slice(1);
      expect(bodies).toHaveLength(answered);
      const last = bodies.at(-1) ?? '';
      expect(Buffer.byteLength(last)).toBe(Number(headers['content-length']));
      await closed;
    },
  );
});
