import { afterAll, beforeAll, expect, test } from 'vitest';
import { firstPublish, gunOf, keyOf } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const EMPTY_OK = { status: 200, headers: { 'content-length': '0' }, body: '' };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const remove = (gun: string) => server.request('DELETE', `/v2/${gun}/_trust/tuf/`, { body: 'x' });
const root = (gun: string) => server.request('GET', `/v2/${gun}/_trust/tuf/root.json`);

test('what is not there can be deleted, and leaves no trace', async () => {
  expect(await remove('nowhere')).toEqual(EMPTY_OK);
  expect(await server.request('GET', '/v2/nowhere/_trust/changefeed?records=1')).toMatchObject({
    body: '{"count":0,"records":[]}',
  });
});

test('everything of the GUN is gone, its neighbours are not, and anybody may begin again', async () => {
  const gun = gunOf('a');
  await firstPublish(server, gun);
  await firstPublish(server, gunOf('ab'));
  await firstPublish(server, gunOf('a/b'));

  expect(await remove('a')).toEqual(EMPTY_OK);

  for (const file of ['root', '1.root', 'timestamp', '1.timestamp', 'targets']) {
    expect(await server.request('GET', `/v2/a/_trust/tuf/${file}.json`)).toMatchObject({
      status: 404,
      body: expect.stringContaining('"detail":{}'),
    });
  }
  expect(await root('ab')).toMatchObject({ status: 200 });
  expect(await root('a/b')).toMatchObject({ status: 200 });
  await firstPublish(server, gun);
  expect(await root('a')).toMatchObject({ status: 200 });
});

test('after a deletion keys are new', async () => {
  const gun = gunOf('keys');
  await firstPublish(server, gun);
  const before = await keyOf(server, gun, 'timestamp');

  await remove('keys');

  expect(await keyOf(server, gun, 'timestamp')).not.toEqual(before);
});
