import { deleteRepository, emptyRepository } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, keyidOf, storyteller } from '@scrivener/events/testing';
import { describe, expect, test } from 'vitest';
import { historyOf } from './history.ts';

const gun = gunOf('a/b');

async function life() {
  const events = memoryEventStore();
  const tell = storyteller(events);
  const key = await tell.makeKey(emptyRepository(gun));
  const published = await tell.publish(key.repository, ['root', 'targets/releases']);
  const { repository } = await tell.renew(published.repository);
  const deleted = deleteRepository(repository, {
    at: '2026-11-22T00:00:04.000Z',
    cause: { subject: 'alice' },
  });
  if (deleted === undefined) throw new Error('nothing to delete');
  await events.append(repository.head, deleted, []);
  return events.readStream(gun, 0);
}

describe('historyOf', () => {
  test('has one line for each event', async () => {
    expect(historyOf(await life())).toEqual({
      lines: [
        'position  version  at                        type               who    what',
        `1         1        2026-11-22T00:00:01.000Z  KeyCreated                timestamp ed25519 ${keyidOf('timestamp 0')}`,
        '2         2        2026-11-22T00:00:02.000Z  UpdatePublished           root 1, targets/releases 1, snapshot 1, timestamp 1',
        '3         3        2026-11-22T00:00:03.000Z  RoleRenewed               timestamp 2',
        '4         4        2026-11-22T00:00:04.000Z  RepositoryDeleted  alice',
        '4 events, every hash follows from the one before',
      ],
      intact: true,
    });
  });

  test('says from where on the log was changed', async () => {
    const [first, second, ...rest] = await life();
    if (first === undefined || second === undefined) throw new Error('no life');
    const changed = { ...second, event: { ...second.event, at: '2026-11-22T00:00:02.001Z' } };

    const { lines, intact } = historyOf([first, changed, ...rest]);

    expect(intact).toBe(false);
    expect(lines.at(-1)).toContain('the hash of version 2 (position 2) does not follow');
  });
});
