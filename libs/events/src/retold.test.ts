import { expect, test } from 'vitest';
import type { RecordedEvent } from './event-store.ts';
import { memoryEventStore } from './memory/index.ts';
import { emptyRepository } from './repository.ts';
import { retold, withoutUndone } from './retold.ts';
import { gunOf, storyteller } from './testing/facts.ts';

test('a restoration comes behind the publishes and renewals that it brings back, as they were', async () => {
  const events = memoryEventStore();
  const tell = storyteller(events);
  let { repository } = await tell.publish(emptyRepository(gunOf('a/b')));
  ({ repository } = await tell.remove(repository));
  ({ repository } = await tell.publish(repository));
  ({ repository } = await tell.makeKey(repository));
  ({ repository } = await tell.renew(repository));
  ({ repository } = await tell.remove(repository));
  await tell.publish(emptyRepository(gunOf('a/c')));
  await tell.restore(repository);

  const told = await retold(await events.readAfter(5, 10), events);

  expect(told.map(({ position }) => position)).toEqual([6, 7, 3, 5, 8]);
});

test('a log without one is told as it is', async () => {
  const events = memoryEventStore();
  await storyteller(events).publish(emptyRepository(gunOf('a/b')));
  const batch = await events.readAfter(0, 10);

  expect(await retold(batch, events)).toBe(batch);
});

const positions = (log: readonly RecordedEvent[]) => log.map(({ position }) => position);

test('a deletion and what takes it back are nothing, where both are there', async () => {
  const events = memoryEventStore();
  const tell = storyteller(events);
  let { repository } = await tell.publish(emptyRepository(gunOf('a/b')));
  ({ repository } = await tell.remove(repository));
  ({ repository } = await tell.makeKey(repository));
  ({ repository } = await tell.restore(repository));
  ({ repository } = await tell.remove(repository));
  await tell.publish(repository);
  await tell.remove((await tell.publish(emptyRepository(gunOf('a/c')))).repository);

  expect(positions(withoutUndone(await events.readAfter(0, 10)))).toEqual([1, 3, 5, 6, 7, 8]);
  const half = await events.readAfter(2, 10);
  expect(withoutUndone(half)).toBe(half);
});

test('a restoration of something else than the last deletion is told', async () => {
  const events = memoryEventStore();
  const tell = storyteller(events);
  let { repository } = await tell.publish(emptyRepository(gunOf('a/b')));
  ({ repository } = await tell.remove(repository));
  const restored = await tell.restore(repository);
  const log = await events.readAfter(0, 10);
  const other = log.map((recorded) => {
    const { event } = recorded;
    if (event.type !== 'RepositoryRestored') return recorded;
    return { ...recorded, event: { ...event, data: { ...event.data, until: 1 } } };
  });

  expect(positions(withoutUndone(log))).toEqual([1]);
  expect(positions(withoutUndone(other))).toEqual([1, 2, restored.recorded.position]);
});
