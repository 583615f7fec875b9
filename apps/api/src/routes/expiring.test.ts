import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const PATH = '/_notary_server/v1/expiring';
const START = new Date('2026-11-22T10:28:37.927Z');

const answer = z.object({
  count: z.number(),
  expiring: z.array(z.object({ gun: z.string(), role: z.string(), subject: z.string() })),
  next: z.string().optional(),
});

let server: TestServer;
let now = START;
beforeAll(async () => {
  server = await startTestServer({ now: () => now });
  for (const gun of ['a', 'b'].map(gunOf)) {
    const owner = await firstPublish(server, gun, { now });
    await post(server, gun, [owner.targets({}, { expires: '2026-12-20T00:00:00Z' })]);
  }
});
afterAll(() => server.close());

const get = async (query: string) => {
  const { status, headers, body } = await server.request('GET', `${PATH}${query}`);
  expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
  return answer.parse(JSON.parse(body));
};
const rolesIn = async (query: string) =>
  (await get(query)).expiring.map(({ gun, role, subject }) => `${gun} ${role} ${subject}`);

const targets = (gun: string) => ({
  gun,
  role: 'targets',
  subject: 'metadata',
  version: '2',
  made_by: 'client',
  published: '2026-11-22T10:28:37.927Z',
  expires: '2026-12-20T00:00:00.000Z',
  command: `notary witness -p ${gun} targets`,
});

describe('what expires soon', () => {
  test('is what clients have to renew within 30 days, with the command for it', async () => {
    const { body } = await server.request('GET', PATH);

    const { expiring, ...rest } = JSON.parse(body);
    expect(rest).toEqual({ count: 2 });
    expect(expiring).toHaveLength(2);
    expect(expiring).toEqual(expect.arrayContaining([targets('a'), targets('b')]));
  });

  test.each([
    ['?within=27d', 0],
    ['?within=662h', 2],
    ['?within=661h', 0],
    ['?within=400d', 4],
    ['?within=3650d', 6],
    ['?within=400d&limit=3', 3],
    ['?made_by=server', 2],
    ['?made_by=server&within=2000d', 4],
    ['?made_by=client&within=', 2],
  ])('%s has %i', async (query, count) => {
    expect((await get(query)).count).toBe(count);
  });

  test('comes page by page', async () => {
    const all = await rolesIn('?within=3650d');
    const paged: string[] = [];
    let after = '';
    for (;;) {
      const page = await get(`?within=3650d&limit=4&after=${after}`);
      paged.push(...page.expiring.map(({ gun, role, subject }) => `${gun} ${role} ${subject}`));
      if (page.next === undefined) break;
      after = page.next;
    }

    expect(paged).toEqual(all);
    expect(new Set(all).size).toBe(6);
  });

  test('has expired, too', async () => {
    now = new Date('2027-01-01T00:00:00Z');

    expect(await rolesIn('?within=0d')).toHaveLength(2);
    now = START;
  });

  test.each([
    ['within=30', 'within'],
    ['within=-1d', 'within'],
    ['within=1w', 'within'],
    ['within=36501d', 'within'],
    ['within=1d%00', 'within'],
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=x', 'limit'],
    ['limit=1e2', 'limit'],
    ['made_by=me', 'made_by'],
    ['after=x', 'after'],
    ['after=bnVsbA', 'after'],
    [`after=${Buffer.from('[1,"a","targets/\\u0000","metadata"]').toString('base64url')}`, 'after'],
    [`after=${Buffer.from('[1,"a","targets","x"]').toString('base64url')}`, 'after'],
    [`after=${Buffer.from('[1e99,"a","targets","metadata"]').toString('base64url')}`, 'after'],
  ])('%s is refused for its %s', async (query, name) => {
    const { status, body } = await server.request('GET', `${PATH}?${query}`);

    expect(status).toBe(400);
    expect(body).toContain('"code":"INVALID_PARAMETERS"');
    expect(body).toContain(`"detail":"invalid ${name} parameter: must be `);
  });

  test.each(['POST', 'HEAD', 'DELETE'])('is not there for %s', async (method) => {
    expect((await server.request(method, PATH)).status).toBe(404);
  });
});
