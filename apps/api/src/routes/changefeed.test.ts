import type { ChangesQuery } from '@scrivener/read-model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const FEED = '/v2/_trust/changefeed';
const nothing = () => Promise.resolve(undefined);

describe('the question', () => {
  let server: TestServer;
  let asked: ChangesQuery | undefined;
  beforeAll(async () => {
    server = await startTestServer({
      deps: {
        readModel: {
          current: nothing,
          byVersion: nothing,
          byChecksum: nothing,
          changes: async (query) => {
            asked = query;
            return [];
          },
        },
      },
    });
  });
  afterAll(() => server.close());

  test.each([
    [`${FEED}?records=1`, { changeId: 0, records: 1 }],
    [`${FEED}?records=0`, { changeId: 0, records: 100 }],
    [`${FEED}?records=-0`, { changeId: 0, records: 100 }],
    [`${FEED}?records=-7&change_id=`, { changeId: 0, records: -7 }],
    [`${FEED}?records=%2B007&change_id=-1`, { changeId: -1, records: 7 }],
    [`${FEED}?records=2147483647`, { changeId: 0, records: 2_147_483_647 }],
    [`${FEED}?records=-2147483648`, { changeId: 0, records: -2_147_483_648 }],
    [`${FEED}?records=1&records=2&change_id=3&change_id=x`, { changeId: 3, records: 1 }],
    [`${FEED}?records=%zz&records=2`, { changeId: 0, records: 2 }],
    [`${FEED}?records=1;2&records=2`, { changeId: 0, records: 2 }],
    [`${FEED}?%72ecords=2&Records=1&change_id=1;2`, { changeId: 0, records: 2 }],
    ['/v2/a/b/_trust/changefeed?records=1', { gun: 'a/b', changeId: 0, records: 1 }],
  ])('%s is understood', async (path, query) => {
    expect(await server.request('GET', path)).toEqual({
      status: 200,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'content-length': '24' },
      body: '{"count":0,"records":[]}',
    });
    expect(asked).toEqual(query);
  });

  test.each([
    ['', 'parsing \\"\\": invalid syntax'],
    ['?records=', 'parsing \\"\\": invalid syntax'],
    ['?Records=1', 'parsing \\"\\": invalid syntax'],
    ['?records=%zz', 'parsing \\"\\": invalid syntax'],
    ['?records=1.0', 'parsing \\"1.0\\": invalid syntax'],
    ['?records=0x1', 'parsing \\"0x1\\": invalid syntax'],
    ['?records=1_0', 'parsing \\"1_0\\": invalid syntax'],
    ['?records=+1', 'parsing \\" 1\\": invalid syntax'],
    ['?records=x&change_id=x', 'parsing \\"x\\": invalid syntax'],
    ['?records=%3Cx%3E', 'parsing \\"\\u003cx\\u003e\\": invalid syntax'],
    ['?records=2147483648', 'parsing \\"2147483648\\": value out of range'],
    ['?records=-2147483649', 'parsing \\"-2147483649\\": value out of range'],
  ])('records are wrong in "%s"', async (query, wrong) => {
    const detail = `"invalid records parameter: strconv.ParseInt: ${wrong}"`;

    expect(await server.request('GET', FEED + query)).toMatchObject({
      status: 400,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: `{"errors":[{"code":"INVALID_PARAMETERS","message":"The parameters provided are not valid.","detail":${detail}}]}\n`,
    });
  });

  test.each(['x', '1.0', '2147483648', '%20', '+1'])('change_id is wrong: %s', async (id) => {
    expect(await server.request('GET', `${FEED}?records=1&change_id=${id}`)).toMatchObject({
      status: 400,
      body: '{"errors":[{"code":"INVALID_PARAMETERS","message":"The parameters provided are not valid.","detail":{}}]}\n',
    });
  });
});

describe('the answer', () => {
  const now = new Date('2026-11-22T10:36:47.350Z');
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ now: () => now });
    const owner = await firstPublish(server, gunOf('a<b'), { now });
    await firstPublish(server, gunOf('other'), { now });
    await post(server, gunOf('a<b'), [owner.targets()]);
    await server.request('DELETE', '/v2/other/_trust/tuf/');
  });
  afterAll(() => server.close());

  const ids = async (path: string) => {
    const { body } = await server.request('GET', path);
    return body.match(/(?<="ID":")\d+/g) ?? [];
  };

  test('lists updates and deletions with exactly these members', async () => {
    const { body } = await server.request('GET', `${FEED}?records=-2`);

    expect(body).toMatch(
      new RegExp(
        '^\\{"count":2,"records":\\[' +
          '\\{"ID":"3","CreatedAt":"2026-11-22T10:36:47.35Z","GUN":"a\\\\u003cb","Version":2,"SHA256":"[0-9a-f]{64}","Category":"update"\\},' +
          '\\{"ID":"4","CreatedAt":"2026-11-22T10:36:47.35Z","GUN":"other","Version":0,"SHA256":"","Category":"deletion"\\}' +
          '\\]\\}$',
      ),
    );
  });

  test.each([
    ['?records=2', ['1', '2']],
    ['?records=2&change_id=1', ['2', '3']],
    ['?records=2&change_id=99', []],
    ['?records=-2&change_id=4', ['2', '3']],
    ['?records=-2&change_id=99', ['3', '4']],
    ['?records=2&change_id=-1', ['3', '4']],
    ['?records=-2&change_id=-5', ['3', '4']],
    ['?records=-2', ['3', '4']],
    ['?records=0', ['1', '2', '3', '4']],
  ])('%s', async (query, expected) => {
    expect(await ids(FEED + query)).toEqual(expected);
  });

  test('of one GUN, exactly, however much is asked for', async () => {
    expect(await ids('/v2/a%3Cb/_trust/changefeed?records=2147483647')).toEqual(['1', '3']);
    expect(await ids('/v2/A%3Cb/_trust/changefeed?records=1')).toEqual([]);
  });
});
