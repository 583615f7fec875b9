import { emptyRepository } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { diffDocument } from './diff.ts';
import { createPastTurnstile, createStreams } from './streams.ts';

let server: TestServer;
const now = () => new Date('2030-01-01T00:00:00Z');
// positions: 1 publish, 2 renewal, 3 deletion, 4 what takes it back
beforeAll(async () => {
  const events = memoryEventStore();
  const { publish, renew, remove, restore } = storyteller(events);
  let { repository } = await publish(emptyRepository(gunOf('a/b')));
  ({ repository } = await renew(repository));
  ({ repository } = await remove(repository));
  await restore(repository);
  const turnstile = createPastTurnstile({ places: 1, waiting: 1, waitMs: 1_000 });
  const streams = createStreams(events);
  const caching = { current: 300, consistent: 300 };
  const past = { events, streams, caching, now, timeoutMs: 10_000, turnstile };
  server = await startTestServer({ deps: { past } });
});
afterAll(() => server.close());

const get = (path: string) => server.request('GET', `/_notary_server/v1/guns/a/b/${path}`);

test('what is restored was published when it was', async () => {
  const [before, gone, after] = await Promise.all(
    [2, 3, 4].map((position) => get(`at/${position}/timestamp.json`)),
  );

  expect(gone?.status).toBe(404);
  expect(after?.body).toBe(before?.body);
  expect(after?.headers['last-modified']).toBe('Sun, 22 Nov 2026 00:00:02 UTC');
});

test.each([
  ['from=1&to=4', [['timestamp', 2]]],
  ['from=2&to=4', []],
])('the difference %s is what was done, and not that it was gone', async (query, roles) => {
  const { body } = await get(`diff?${query}`);

  const diff = diffDocument.parse(JSON.parse(body));
  expect(diff.roles.map(({ role, by }) => [role, by])).toEqual(roles);
  expect(diff.events.at(-1)).toMatchObject({ position: 4, type: 'RepositoryRestored' });
});

test('a file that cannot be read is no empty one', async () => {
  const { status, body } = await get('diff?from=0&to=4');

  expect(status).toBe(404);
  expect(body).toContain('targets 1 is no file that can be read');
});
