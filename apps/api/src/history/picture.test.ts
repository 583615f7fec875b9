import { afterAll, beforeAll, expect, test } from 'vitest';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  const owner = await firstPublish(server, gunOf('a/b'));
  owner.rotate('targets');
  await post(server, gunOf('a/b'), [owner.root(), owner.targets()]);
});
afterAll(() => server.close());

const get = (gun: string) => server.request('GET', `/_notary_server/v1/guns/${gun}/history.svg`);

test('the picture of a repository runs nothing in a browser and names rotations', async () => {
  const { status, headers, body } = await get('a/b');

  expect(status).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'image/svg+xml; charset=utf-8',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    'x-content-type-options': 'nosniff',
  });
  expect(body).toContain('published root 2, targets 2, with other keys for targets');
});

test('there is none of a repository that never was', async () => {
  const { status, body } = await get('c');

  expect(status).toBe(404);
  expect(body).toContain('the repository has no events');
});
