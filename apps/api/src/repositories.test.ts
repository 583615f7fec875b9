import { emptyRepository, publishUpdate } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { parseGun, sha256Of, type RoleName } from '@scrivener/tuf';
import { expect, test } from 'vitest';
import { createRepositories } from './repositories.ts';

/** Four of them fit into memory. */
const LARGE = 3.9 * 1024 * 1024;
const AT = '2026-01-01T00:00:00.000Z';

test('files that are driven out of memory while others are read are there all the same', async () => {
  const gun = parseGun('example.com/large');
  if (gun === undefined) throw new Error('not a GUN');
  const repositories = createRepositories(memoryEventStore());
  const roles = ['root', 'targets', 'snapshot', 'timestamp', 'targets/a'] as RoleName[];
  const metafiles = roles.map((role, index) => {
    const bytes = Buffer.alloc(LARGE, index);
    return {
      role,
      version: 1n,
      sha256: sha256Of(bytes),
      bytes,
      expires: AT,
      madeBy: 'client' as const,
    };
  });
  const event = publishUpdate(emptyRepository(gun), { metafiles, at: AT, cause: {} });
  if (event === undefined) throw new Error('nothing to publish');
  await repositories.append(emptyRepository(gun), event, metafiles);

  const files = await repositories.metafiles(repositories.known(gun), roles);

  expect([...files.values()].map(({ sha256 }) => sha256)).toEqual(
    metafiles.map(({ sha256 }) => sha256),
  );
});
