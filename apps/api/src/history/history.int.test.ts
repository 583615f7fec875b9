import { emptyRepository, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { clock, storyteller } from '@scrivener/events/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { gunOf } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { eventsPage } from './events.ts';
import { createFeed } from './feed.ts';
import { createPastTurnstile, createStreams } from './streams.ts';

let database: TestDatabase;
let events: EventStore;
let server: TestServer | undefined;
beforeAll(async () => {
  database = await testDatabase();
  events = await postgresEventStore(database.url);
});
afterEach(async () => {
  await server?.close();
  server = undefined;
});
afterAll(async () => {
  await events.close();
  await database.drop();
});

const now = () => new Date('2030-01-01T00:00:00Z');

/** The routes of the past on this log. */
async function serve(log: EventStore, timeoutMs = 10_000): Promise<TestServer> {
  const streams = createStreams(log);
  const caching = { current: 300, consistent: 300 };
  const turnstile = createPastTurnstile({ places: 2, waiting: 16, waitMs: 2_000 });
  const past = { events: log, streams, caching, now, timeoutMs, turnstile };
  server = await startTestServer({ deps: { past, feed: createFeed(log, streams, 10) } });
  return server;
}

/** Files of a storyteller are no metadata, so what reads them is not asked for: keys only. */
async function makeKeys(name: string, count: number): Promise<void> {
  const { makeKey } = storyteller(events, clock());
  let repository = emptyRepository(gunOf(name));
  for (let made = 0; made < count; made += 1) ({ repository } = await makeKey(repository));
}

const followOf = async (served: TestServer, until: number) => {
  const positions: number[] = [];
  for (let after = 0; after < until;) {
    const { body } = await served.request(
      'GET',
      `/_notary_server/v1/events?after=${after}&limit=7&wait=10`,
    );
    const page = eventsPage.parse(JSON.parse(body));
    positions.push(...page.events.map(({ position }) => position));
    after = page.next;
  }
  return positions;
};

test('whoever follows the log sees every event once and in order while four write', async () => {
  const served = await serve(events);
  const followed = followOf(served, 200);
  await Promise.all(['a', 'b', 'c', 'd'].map((name) => makeKeys(name, 50)));

  expect(await followed).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
});

test('one repository is followed by its own events', async () => {
  const served = await serve(events);
  const { body } = await served.request('GET', '/_notary_server/v1/events?gun=b&limit=1000');

  const page = eventsPage.parse(JSON.parse(body));
  expect(page.events.map(({ version }) => version)).toEqual(
    Array.from({ length: 50 }, (_, index) => index + 1),
  );
});

test('the bytes that were current are read from the log', async () => {
  const { publish, remove } = storyteller(events, clock());
  const first = await publish(emptyRepository(gunOf('e/f')));
  const second = await publish(first.repository);
  const deleted = await remove(second.repository);
  const served = await serve(events);
  const at = async (position: number) =>
    served.request('GET', `/_notary_server/v1/guns/e/f/at/${position}/targets.json`);

  const textOf = ({ metafiles }: typeof first) =>
    Buffer.from(metafiles.find(({ role }) => role === 'targets')?.bytes ?? []).toString();
  expect((await at(first.recorded.position)).body).toBe(textOf(first));
  expect((await at(second.recorded.position)).body).toBe(textOf(second));
  expect((await at(deleted.recorded.position)).status).toBe(404);
});

test.each([
  'events',
  'events?stream=1',
  'events?gun=a',
  'guns/a/at/1/root.json',
  'guns/a/diff?from=0',
  'guns/a/history.svg',
])('without a database the answer to %s is 503 within the deadline', async (path) => {
  const away = await postgresEventStore('postgres://nobody@127.0.0.1:1/none');
  const served = await serve(away, 3_000);

  const { status, headers } = await served.request('GET', `/_notary_server/v1/${path}`);

  expect([status, headers['retry-after']]).toEqual([503, '5']);
  await away.close();
});
