import { createLogger } from '@scrivener/runtime';
import { sha256Of, TufError } from '@scrivener/tuf';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { NotaryError } from '../errors.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const line = z.looseObject({ level: z.string(), msg: z.string(), time: z.string() });

const bytes = Buffer.from('a timestamp');
const timestamp = {
  role: 'timestamp',
  version: 7n,
  sha256: sha256Of(bytes),
  length: bytes.length,
  expires: '2027-01-01T00:00:00.000Z',
  madeBy: 'server',
} as const;

let server: TestServer;
let lines: z.output<typeof line>[] = [];
let thrown: Error | undefined;
beforeAll(async () => {
  server = await startTestServer({
    deps: {
      logger: createLogger('info', { write: (text) => lines.push(line.parse(JSON.parse(text))) }),
      publish: async () => {
        if (thrown !== undefined) throw thrown;
        return timestamp;
      },
    },
  });
});
afterAll(() => server.close());
beforeEach(() => {
  lines = [];
  thrown = undefined;
});

/** The lines of a request, once it is over. */
const logged = async (...request: Parameters<TestServer['request']>) => {
  await server.request(...request);
  return vi.waitFor(() => {
    expect(lines.at(-1)?.msg).toBe('response completed');
    return lines;
  });
};
const empty = { headers: { 'Content-Type': 'multipart/form-data; boundary=b' }, body: '--b--' };

describe('response completed', () => {
  test('has the fields of the old server', async () => {
    const headers = { 'User-Agent': 'x', Referer: 'y', 'Content-Type': 'z' };

    expect(await logged('GET', '/v2/?q=%2F', { headers })).toEqual([
      {
        level: 'info',
        msg: 'response completed',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        'http.request.id': expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4/),
        'http.request.method': 'GET',
        'http.request.host': `localhost:${server.port}`,
        'http.request.uri': '/v2/?q=%2F',
        'http.request.useragent': 'x',
        'http.request.referer': 'y',
        'http.request.contenttype': 'z',
        'http.request.remoteaddr': expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        'http.response.status': 200,
        'http.response.written': 2,
        'http.response.duration': expect.stringMatching(/^[0-9.]+ms$/),
        'http.response.contenttype': 'text/plain; charset=utf-8',
      },
    ]);
  });

  test.each([
    [{ 'X-Forwarded-For': '10.0.0.1, 10.0.0.2', 'X-Real-Ip': '10.0.0.3' }, '10.0.0.1'],
    [{ 'X-Forwarded-For': '::1' }, '::1'],
    [{ 'X-Forwarded-For': 'nobody', 'X-Real-Ip': '10.0.0.3' }, '10.0.0.3'],
    [{ 'X-Real-Ip': 'nobody' }, expect.stringMatching(/^127\.0\.0\.1:\d+$/)],
  ])('says who asked: %j', async (headers, address) => {
    const [completed] = await logged('GET', '/v2/', { headers });

    expect(completed).toMatchObject({ 'http.request.remoteaddr': address });
  });

  test('has status 0 for a success without a body', async () => {
    const [, completed] = await logged('POST', '/v2/a/_trust/tuf/', empty);

    expect(completed).toMatchObject({ 'http.response.status': 0, 'http.response.written': 0 });
    expect(completed).not.toHaveProperty('http.response.contenttype');
  });

  test('is not said of health and metrics', async () => {
    await server.request('GET', '/_notary_server/health');
    await server.request('GET', '/_notary_server/live');
    await server.request('GET', '/_notary_server/ready');
    await server.request('GET', '/metrics');

    expect(await logged('GET', '/v2/')).toHaveLength(1);
  });
});

test('a publish is told with its timestamp', async () => {
  const [updated] = await logged('POST', '/v2/a/b/_trust/tuf/', empty);

  expect(updated).toMatchObject({
    level: 'info',
    msg: `updated a/b to timestamp version 7, checksum ${timestamp.sha256}`,
  });
});

describe('a refusal', () => {
  test('is told in one line more, under the same id', async () => {
    const [refusal, completed] = await logged('GET', '/nowhere');

    expect(refusal).toMatchObject({
      level: 'info',
      msg: 'metadata not found: You have requested metadata that does not exist.: <nil>',
      'http.request.id': completed?.['http.request.id'],
    });
  });

  test('of an upload says what was wrong with it', async () => {
    thrown = new NotaryError('INVALID_ROLE', { detail: 'x' });

    expect((await logged('POST', '/v2/a/_trust/tuf/', empty)).map(({ msg }) => msg)).toEqual([
      '400 POST invalid role: x',
      'invalid role: The role you are attempting to operate on is invalid.: x',
      'response completed',
    ]);
  });

  test('of targets is an error', async () => {
    thrown = new TufError('BAD_TARGETS', 'said');

    const [bad] = await logged('POST', '/v2/a/_trust/tuf/', empty);

    expect(bad).toMatchObject({ level: 'error', msg: 'ErrBadTargets: said' });
  });

  test('of a download says what was missing', async () => {
    const [missed] = await logged('GET', '/v2/a/_trust/tuf/root.json');

    expect(missed?.msg).toBe('404 GET root role');
  });

  test('that nobody foresaw is told in full, to the log alone', async () => {
    thrown = new Error('secret');

    const [unforeseen] = await logged('POST', '/v2/a/_trust/tuf/', empty);

    expect(unforeseen).toMatchObject({
      level: 'error',
      msg: 'unknown: unknown error: {}',
      err: { message: 'secret', stack: expect.stringContaining('request-log.test.ts') },
    });
  });
});
