import { createPublisher, serverKey } from '@scrivener/tuf/testing';
import { parseMetafile } from '@scrivener/tuf';
import { expect, test } from 'vitest';
import { memoryEventStore } from '../memory/index.ts';
import {
  emptyRepository,
  evolve,
  publishUpdate,
  type NewMetafile,
  type Repository,
} from '../repository.ts';
import { clock, gunOf, storyteller } from '../testing/facts.ts';
import { rotationsOf } from './rotations.ts';

const gun = gunOf('a/b');

test('a root that nobody can read is stepped over, and so are those who are not roots', async () => {
  const events = memoryEventStore();
  const { publish } = storyteller(events);
  const { repository } = await publish(emptyRepository(gun), ['root', 'targets']);
  await publish(repository, ['root']);

  expect(await rotationsOf(await events.readStream(gun, 0), events)).toEqual([]);
});

test('what a restoration brings back is no rotation, and what comes behind it may be', async () => {
  const events = memoryEventStore();
  const now = clock();
  const owner = createPublisher(gun, {
    serverKeys: { timestamp: serverKey('ed25519', new Uint8Array(32)).publicKey },
  });
  const root = async (repository: Repository) => {
    const { role, bytes } = owner.root();
    const { version, sha256 } = parseMetafile(role, bytes);
    const expires = '2036-01-01T00:00:00.000Z';
    const file: NewMetafile = { role, version, sha256, bytes, expires, madeBy: 'client' };
    const event = publishUpdate(repository, { metafiles: [file], at: now(), cause: {} });
    return evolve(repository, await events.append(repository.head, event, [file]));
  };
  const { remove, restore } = storyteller(events, now);
  let repository = await root(emptyRepository(gun));
  ({ repository } = await remove(repository));
  ({ repository } = await restore(repository));
  owner.rotate('targets');
  await root(repository);

  expect(await rotationsOf(await events.readStream(gun, 0), events)).toEqual([
    { position: 4, roles: ['targets'] },
  ]);
});
