import {
  draftOf,
  emptyRepository,
  evolve,
  type MetafileRef,
  type RepositoryEvent,
  type RepositoryRestored,
} from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { checkStream, type StoredRow } from './stream.ts';

const gun = gunOf('a/b');

/** What is found in a repository that is published, deleted and then restored like that. */
async function findings(change: (data: RepositoryRestored['data']) => RepositoryRestored['data']) {
  const events = memoryEventStore();
  const { publish, remove, restore } = storyteller(events);
  const one = await publish(emptyRepository(gun));
  const two = await publish(one.repository);
  const gone = await remove(two.repository);
  await restore(gone.repository);
  const stream = await events.readStream(gun, 0);

  let repository = emptyRepository(gun);
  const rows = stream.map(({ position, event }): StoredRow => {
    const told: RepositoryEvent =
      event.type === 'RepositoryRestored' ? { ...event, data: change(event.data) } : event;
    const files = [...one.metafiles, ...two.metafiles];
    const draft = draftOf(repository.head, told, files);
    repository = evolve(repository, { ...draft, position });
    const { version, hash, stored } = draft;
    const gunSha256 = createHash('sha256').update(gun).digest('hex');
    return { ...stored, position, gunSha256, version, hash, isFiner: false };
  });
  const check = checkStream();
  check.next(rows, new Map(), () => undefined);
  return check
    .findings()
    .filter(({ version }) => version === 4)
    .map(({ reason }) => reason);
}

test('a restoration of what was deleted is right', async () => {
  expect(await findings((data) => data)).toEqual([]);
});

const other = (ref: MetafileRef): MetafileRef => ({ ...ref, sha256: otherChecksum(ref) });
const otherChecksum = ({ sha256 }: MetafileRef) =>
  sha256.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) as MetafileRef['sha256'];

test.each<[string, (data: RepositoryRestored['data']) => RepositoryRestored['data']]>([
  ['another file', (data) => ({ ...data, metafiles: data.metafiles.map(other) })],
  ['a file less', (data) => ({ ...data, metafiles: data.metafiles.slice(1) })],
  ['another beginning', (data) => ({ ...data, since: 2 })],
  ['another end', (data) => ({ ...data, until: 2 })],
])('a restoration of %s is found, though every hash follows', async (_, change) => {
  expect(await findings(change)).toEqual(['it brings back something else than was deleted']);
});
