import { emptyRepository, evolve, recordKey } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { clock, gunOf, keyidOf } from '@scrivener/events/testing';
import { expect, test, vi } from 'vitest';
import { startTestServer } from '../testing/server.ts';
import { createFeed } from './feed.ts';
import { createPastTurnstile, createStreams } from './streams.ts';

/** More than the buffers of two sockets and of Node hold. */
const EVENTS = 600;
const EACH = 100_000;

test('a stream whose client does not read is cut, and its place is free for others', async () => {
  const events = memoryEventStore();
  const now = clock();
  let repository = emptyRepository(gunOf('a/b'));
  for (let n = 0; n < EVENTS; n += 1) {
    const cause = { subject: 'x'.repeat(EACH) };
    const key = { keytype: 'ed25519', public: 'AAAA' };
    const made = { role: 'timestamp', keyid: keyidOf(`${n}`), key, at: now(), cause } as const;
    const event = recordKey(repository, made);
    if (event === undefined) throw new Error('no new key');
    repository = evolve(repository, await events.append(repository.head, event, []));
  }
  const streams = createStreams(events);
  const feed = createFeed(events, streams, 1, 300);
  const past = {
    events,
    streams,
    caching: { current: 300, consistent: 300 },
    now: () => new Date('2030-01-01T00:00:00Z'),
    timeoutMs: 10_000,
    turnstile: createPastTurnstile({ places: 1, waiting: 1, waitMs: 1_000 }),
  };
  const server = await startTestServer({ deps: { past, feed } });
  const socket = server.connect().on('error', () => {}); // it may be reset
  socket.pause();
  const isFree = async () =>
    (await server.request('GET', `/_notary_server/v1/events?after=${EVENTS - 1}&wait=1`)).status;

  socket.write('GET /_notary_server/v1/events?stream=1&after=0 HTTP/1.1\r\nHost: a\r\n\r\n');
  await vi.waitFor(async () => expect(await isFree()).toBe(503), { timeout: 10_000 });

  await vi.waitFor(async () => expect(await isFree()).toBe(200), { timeout: 20_000 });
  socket.destroy();
  await server.close();
});
