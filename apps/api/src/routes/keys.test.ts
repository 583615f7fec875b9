import { afterAll, beforeAll, expect, test } from 'vitest';
import { firstPublish, gunOf } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const GUN = gunOf('a/b');
const key = (method: string, role = 'timestamp') =>
  server.request(method, `/v2/${GUN}/_trust/tuf/${role}.key`);

test.each(['timestamp', 'snapshot'])('GET %s.key has exactly this form', async (role) => {
  const answer = await key('GET', role);

  expect(answer.body).toMatch(
    /^\{"keytype":"ed25519","keyval":\{"public":"[A-Za-z0-9+/]{43}=","private":null\}\}$/,
  );
  expect(answer).toMatchObject({
    status: 200,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(answer.body.length),
    },
  });
  expect(Object.keys(answer.headers)).toHaveLength(2);
});

test('from the first publish on the key stays; a rotation gives another and changes nothing', async () => {
  await firstPublish(server, GUN);
  const { body: current } = await key('GET');

  const { status, body: rotated } = await key('POST');

  expect(status).toBe(200);
  expect(rotated).not.toBe(current);
  expect((await key('GET')).body).toBe(current);
});

test('a key of its own for each role', async () => {
  expect((await key('GET', 'snapshot')).body).not.toBe((await key('GET', 'timestamp')).body);
});

test('many who ask at once are all served', async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      server.request('GET', `/v2/many/${n % 5}/_trust/tuf/timestamp.key`),
    ),
  );

  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
});

test('asking for a key stores no metadata and adds no change', async () => {
  await server.request('GET', '/v2/asked/_trust/tuf/timestamp.key');

  expect(await server.request('GET', '/v2/asked/_trust/tuf/timestamp.json')).toMatchObject({
    status: 404,
  });
  expect(await server.request('GET', '/v2/asked/_trust/changefeed?records=1')).toMatchObject({
    body: '{"count":0,"records":[]}',
  });
});

test('the body of a rotation is ignored', async () => {
  const path = `/v2/${GUN}/_trust/tuf/timestamp.key`;
  const body = 'x'.repeat(100_000);

  expect(await server.request('POST', path, { body })).toMatchObject({ status: 200 });
});
