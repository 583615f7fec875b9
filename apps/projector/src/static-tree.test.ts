import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emptyRepository, type EventStore } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, storyteller, type Told } from '@scrivener/events/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStaticTree } from './static-tree.ts';

let root: string;
let events: EventStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'static-tree-'));
  events = memoryEventStore();
});
afterEach(() => rm(root, { recursive: true }));

const replay = async (until = Infinity) => {
  const tree = await openStaticTree(root, events);
  await tree.apply(await events.readAfter(tree.position, until - tree.position));
  return tree;
};

/** Every file but the tree's own note, by its path below `v2`. */
async function files(): Promise<Map<string, string>> {
  const found = await readdir(join(root, 'v2'), { recursive: true, withFileTypes: true });
  const paths = found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const read = paths.map(
    async (path) =>
      [path.slice(join(root, 'v2').length + 1), await readFile(path, 'utf8')] as const,
  );
  return new Map(await Promise.all(read));
}

/** What the files of some events are, by the paths of WIRE §3. */
function expected(...told: readonly Told[]): Map<string, string> {
  const all = told.flatMap(({ recorded, metafiles }) =>
    metafiles.flatMap(({ role, version, sha256, bytes }) =>
      [`${role}.${sha256}`, `${version}.${role}`, role].map(
        (name) =>
          [`${recorded.event.gun}/_trust/tuf/${name}.json`, Buffer.from(bytes).toString()] as const,
      ),
    ),
  );
  return new Map(all);
}

describe('a tree', () => {
  test('has each file by checksum, by version and, the last of a role, by its name', async () => {
    const { publish, renew } = storyteller(events);
    const first = await publish(emptyRepository(gunOf('acme.example/app')), [
      'root',
      'targets',
      'targets/releases',
    ]);
    const second = await publish(first.repository);
    const third = await renew(second.repository);
    const other = await publish(emptyRepository(gunOf('acme.example/app/nested')));

    await replay();

    expect(await files()).toEqual(expected(first, second, third, other));
  });

  test('ends where it is told to', async () => {
    const { publish } = storyteller(events);
    const first = await publish(emptyRepository(gunOf('a')));
    await publish(first.repository);

    await replay(1);

    expect(await files()).toEqual(expected(first));
  });

  test('has nothing of a repository that was deleted, and what came afterwards', async () => {
    const { publish, remove } = storyteller(events);
    const first = await publish(emptyRepository(gunOf('a')), [
      'root',
      'targets',
      'targets/releases',
    ]);
    const inner = await publish(emptyRepository(gunOf('a/b')));
    const removed = await remove(first.repository);
    const again = await publish(removed.repository);

    await replay();

    expect(await files()).toEqual(expected(inner, again));
  });

  test('has all of a repository whose deletion was taken back', async () => {
    const { publish, renew, remove, restore } = storyteller(events);
    const first = await publish(emptyRepository(gunOf('a')));
    const second = await renew(first.repository);
    await replay();
    const removed = await remove(second.repository);
    await replay();
    await restore(removed.repository);

    await replay();

    expect(await files()).toEqual(expected(first, second));
  });

  test.each([
    '../../escape',
    'a/../../b',
    'a//b',
    '/',
    'a/.',
    '_trust/tuf',
    'a/_trust',
    'x'.repeat(300),
  ])('leaves out %j and says so', async (name) => {
    const { publish } = storyteller(events);
    await publish(emptyRepository(gunOf(name)));
    const good = await publish(emptyRepository(gunOf('good')));

    const { leftOut } = await replay();

    expect([...leftOut]).toEqual([name]);
    expect(await files()).toEqual(expected(good));
    expect((await readdir(root)).sort()).toEqual(['.replay.json', 'v2']);
  });
});

describe('a replay', () => {
  test('goes on where it was, and does again what it may not have ended', async () => {
    const { publish, remove } = storyteller(events);
    const first = await publish(emptyRepository(gunOf('a')));
    await replay();
    const noted = await readFile(join(root, '.replay.json'));
    const removed = await remove(first.repository);
    const again = await publish(removed.repository);
    await replay();
    await writeFile(join(root, '.replay.json'), noted); // as if it had been killed before it was noted

    const tree = await replay();

    expect(tree.position).toBe(3);
    expect(await files()).toEqual(expected(again));
  });

  test('refuses a directory of something else, and one of another log', async () => {
    await storyteller(events).publish(emptyRepository(gunOf('a')));
    await replay();
    events = memoryEventStore();
    await storyteller(events).publish(emptyRepository(gunOf('b')));
    await expect(replay()).rejects.toThrow('is a replay of another log');

    await rm(join(root, '.replay.json'));
    await writeFile(join(root, 'thesis.txt'), '');
    await expect(replay()).rejects.toThrow('is not empty');
  });
});
