import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const START = Date.parse('2026-11-22T10:00:00.000Z');
const GUN = gunOf('example.com/a b');
const PATH = '/_notary_server/v1/guns/example.com/a%20b';

let server: TestServer;
let now = new Date(START);
const wire = async (role: string) =>
  (await server.request('GET', `/v2/example.com/a%20b/_trust/tuf/${role}.json`)).body;
/** What was current on the wire after the first publish, and after the second. */
const first = new Map<string, string>();
const second = new Map<string, string>();
const ROLES = ['root', 'targets', 'snapshot', 'timestamp'];

// positions: 1 and 2 keys, 3 first publish, 4 second, 5 deletion, 6 to 8 another life
beforeAll(async () => {
  server = await startTestServer({ now: () => now });
  const owner = await firstPublish(server, GUN, { now });
  for (const role of ROLES) first.set(role, await wire(role));
  now = new Date(START + 60_000);
  await post(server, GUN, [owner.targets({ second: 'content' })]);
  for (const role of ROLES) second.set(role, await wire(role));
  now = new Date(START + 120_000);
  await server.request('DELETE', '/v2/example.com/a%20b/_trust/tuf/');
});
afterAll(() => server.close());

const at = (moment: string | number, role: string) =>
  server.request('GET', `${PATH}/at/${moment}/${role}.json`);

describe('what was current', () => {
  test.each(ROLES)('of %s after a position is told to the byte', async (role) => {
    expect((await at(3, role)).body).toBe(first.get(role));
    expect((await at(4, role)).body).toBe(second.get(role));
  });

  test.each([
    ['2026-11-22T10:00:00Z', first],
    ['2026-11-22T10:00:59.999Z', first],
    ['2026-11-22T10:01:00Z', second],
    ['2026-11-22T12:01:59.999999%2B02:00', second],
  ])('at %s is told to the byte', async (time, expected) => {
    expect((await at(time, 'timestamp')).body).toBe(expected.get('timestamp'));
  });

  test('may be kept for ever by position', async () => {
    const { status, headers } = await at(3, 'root');

    expect(status).toBe(200);
    expect(headers['cache-control']).toContain('max-age=2592000');
    expect(headers['last-modified']).toBe('Sun, 22 Nov 2026 10:00:00 UTC');
    const etag = headers['etag'] ?? '';
    const again = await server.request('GET', `${PATH}/at/4/root.json`, {
      headers: { 'If-None-Match': etag },
    });
    expect([again.status, again.body]).toEqual([304, '']);
  });

  test('at a time may not, and names the position it was found at', async () => {
    const { headers } = await at('2026-11-22T10:00:30Z', 'root');

    expect(headers['cache-control']).toBe('no-cache');
    expect(headers['content-location']).toBe(`${PATH}/at/3/root.json`);
  });

  test('is answered to a HEAD without a body', async () => {
    const { status, body } = await server.request('HEAD', `${PATH}/at/3/root.json`);

    expect([status, body]).toEqual([200, '']);
  });

  test.each([
    ['0', 'root', 'the repository had no events yet'],
    ['2', 'root', 'there was no root yet'],
    ['4', 'targets/releases', 'there was no targets/releases yet'],
    ['5', 'root', 'the repository had been deleted at position 5'],
    ['2026-11-21T00:00:00Z', 'root', 'the repository had no events yet'],
    ['5', 'targets/Bad', 'targets/Bad is no role'],
  ])('at %s is no %s: %s', async (moment, role, reason) => {
    const { status, body } = await at(moment, role);

    expect(status).toBe(404);
    expect(JSON.parse(body).errors[0]).toMatchObject({
      code: 'METADATA_NOT_FOUND',
      detail: reason,
    });
  });

  test.each([
    ['6', 'no position beyond the last, 5'],
    ['999999999999999', 'no position beyond the last, 5'],
    ['2026-11-22T10:02:01Z', 'no time in the future'],
    ['9999999999999999', 'a position of the log or an RFC 3339 time'],
    ['-1', 'a position of the log or an RFC 3339 time'],
    ['yesterday', 'a position of the log or an RFC 3339 time'],
    ['2026-02-31T00:00:00Z', 'a position of the log or an RFC 3339 time'],
    ['2026-11-22T25:00:00Z', 'a position of the log or an RFC 3339 time'],
    ['2026-11-22', 'a position of the log or an RFC 3339 time'],
    ['%00', 'a position of the log or an RFC 3339 time'],
  ])('at %s is refused: it must be %s', async (moment, wanted) => {
    const { status, body } = await at(moment, 'root');

    expect(status).toBe(400);
    expect(JSON.parse(body).errors[0].detail).toBe(`invalid moment parameter: must be ${wanted}`);
  });

  test('stays though the wire says that nothing is there', async () => {
    const { status } = await server.request('GET', '/v2/example.com/a%20b/_trust/tuf/root.json');

    expect(status).toBe(404);
    expect((await at(4, 'root')).status).toBe(200);
  });
});
