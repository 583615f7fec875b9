import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { emptyHead, eventHash, firstBrokenLink } from './event-hash.ts';
import type { RecordedEvent } from './event-store.ts';
import { emptyRepository } from './repository.ts';
import type { RepositoryEvent, UpdatePublished } from './repository-events.ts';
import { memoryEventStore } from './memory/event-store.ts';
import { gunOf, metafile, storyteller } from './testing/facts.ts';

const gun = gunOf('a/"b"');
const { sha256, expires, madeBy } = metafile('root', 1n);
const event: UpdatePublished = {
  type: 'UpdatePublished',
  gun,
  at: '2026-11-22T10:28:37.927Z',
  cause: { subject: 'é', requestId: 'r' },
  data: {
    metafiles: [
      { role: 'root', version: 9_007_199_254_740_993n, sha256, length: 7, expires, madeBy },
    ],
  },
};
const zeros = '0'.repeat(64);

async function stream(): Promise<readonly RecordedEvent[]> {
  const events = memoryEventStore();
  const tell = storyteller(events);
  let { repository } = await tell.publish(emptyRepository(gun));
  for (let n = 0; n < 3; n += 1) ({ repository } = await tell.publish(repository));
  return events.readStream(gun, 0);
}

describe('eventHash', () => {
  test('is the SHA-256 of exactly this line', () => {
    const line =
      '{"at":"2026-11-22T10:28:37.927Z","cause":{"requestId":"r","subject":"é"},' +
      '"data":{"metafiles":[{"expires":"2027-11-22T00:00:00.000Z","length":7,"madeBy":"client",' +
      `"role":"root","sha256":"${sha256}","version":"9007199254740993"}]},` +
      `"gun":"a/\\"b\\"","previous":"${zeros}","type":"UpdatePublished","version":1}`;

    expect(eventHash(zeros, { gun, version: 1, event })).toBe(
      createHash('sha256').update(line).digest('hex'),
    );
    expect(eventHash(zeros, { gun, version: 1, event })).toBe(
      '9a315605a586f8fd95d44b70d163f1f0098f830d3982a9dfacbe646f6b8c0f75',
    );
  });

  test.each<[string, RepositoryEvent]>([
    ['time', { ...event, at: '2026-11-22T10:28:37.928Z' }],
    ['cause', { ...event, cause: { subject: 'é' } }],
    ['type', { ...event, type: 'RoleRenewed' }],
    ['data', { ...event, data: { metafiles: [] } }],
  ])('changes with the %s', (_, other) => {
    expect(eventHash(zeros, { gun, version: 1, event: other })).not.toBe(
      eventHash(zeros, { gun, version: 1, event }),
    );
  });

  test.each([
    ['predecessor', 'f'.repeat(64), gun, 1],
    ['GUN', zeros, gunOf('a'), 1],
    ['version', zeros, gun, 2],
  ])('changes with the %s', (_, previous, otherGun, version) => {
    expect(eventHash(previous, { gun: otherGun, version, event })).not.toBe(
      eventHash(zeros, { gun, version: 1, event }),
    );
  });
});

describe('firstBrokenLink', () => {
  test('finds none in what a log gives', async () => {
    expect(firstBrokenLink(await stream())).toBeUndefined();
    expect(firstBrokenLink([])).toBeUndefined();
  });

  test('finds the event after one that was taken out', async () => {
    const [first, , third, fourth] = await stream();
    if (!first || !third || !fourth) throw new Error('too short');

    expect(firstBrokenLink([first, third, fourth])).toBe(third);
  });

  test('starts from the head of an empty stream', () => {
    expect(emptyHead(gun)).toEqual({ gun, version: 0, hash: zeros });
  });
});
