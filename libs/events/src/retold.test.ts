import { expect, test } from 'vitest';
import { memoryEventStore } from './memory/index.ts';
import { emptyRepository } from './repository.ts';
import { retold } from './retold.ts';
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
