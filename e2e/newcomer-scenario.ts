import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Cluster } from './cluster.ts';
import { createNotaryUser, type NotaryUser } from './notary-client.ts';

/** A cluster and the people who use it, with the real client. */
export interface Site {
  readonly cluster: Cluster;
  /** Where the owner of the collection publishes, and where everybody else reads. */
  readonly urls: { readonly owner: string; readonly reader: string };
  readonly owner: NotaryUser;
  readonly reader: NotaryUser;
  /** Resolves when both addresses answer. */
  readonly ready: () => Promise<void>;
  remove(): void;
}

export function createSite(site: Pick<Site, 'cluster' | 'urls' | 'ready'>): Site {
  const owner = createNotaryUser(site.urls.owner, site.cluster.caFile);
  const reader = createNotaryUser(site.urls.reader, site.cluster.caFile);
  return {
    ...site,
    owner,
    reader,
    remove: () => {
      owner.remove();
      reader.remove();
    },
  };
}

const file = (user: NotaryUser, name: string, text: string) => {
  const path = join(user.directory, name);
  writeFileSync(path, text);
  return path;
};

/** The rows below the header of `list`, by their first column. */
const listed = (output: string) =>
  output
    .split('\n')
    .slice(output.split('\n').findIndex((line) => line.startsWith('---')) + 1)
    .filter((line) => line.trim() !== '' && !line.includes('No targets'))
    .map((line) => line.trim().split(/\s+/)[0] ?? '');

const gun = 'example.com/hello';
/** All processes end and start at once, on few processors. */
const RESTART_LIMIT = 120_000;

// What a newcomer does, in three parts, one after the other; each step relies on those before it. The
// site is asked for in each test, for it is made when the tests run.

export function publishAndRead(site: () => Site): void {
  test('initialises and publishes a collection', async () => {
    const { owner } = site();
    const output = await owner.run('init', '-p', gun);

    expect(output).toContain('Successfully published changes for repository example.com/hello');
  });

  test('adds a target, which another user then lists, looks up and verifies', async () => {
    const { owner, reader } = site();
    await owner.run('add', '-p', gun, 'v1', file(owner, 'v1.txt', 'hello\n'));

    expect(listed(await reader.run('list', gun))).toEqual(['v1']);
    expect(await reader.run('lookup', gun, 'v1')).toContain(
      'v1 sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 6',
    );
    const input = file(reader, 'v1.txt', 'hello\n');
    expect(await reader.run('verify', gun, 'v1', '-i', input)).toContain('hello');
  });

  test('does not verify other content', async () => {
    const { reader } = site();
    const input = file(reader, 'other.txt', 'hallo\n');

    expect(await reader.attempt('verify', gun, 'v1', '-i', input)).toMatchObject({ code: 1 });
  });

  test('removes a target', async () => {
    const { owner, reader } = site();
    await owner.run('add', '-p', gun, 'v2', file(owner, 'v2.txt', 'two\n'));
    await owner.run('remove', '-p', gun, 'v1');

    expect(listed(await reader.run('list', gun))).toEqual(['v2']);
  });
}

export function delegateAndRotate(site: () => Site): void {
  test('publishes to a delegation from a second client that holds only its key', async () => {
    const { cluster, urls, owner, reader } = site();
    const releaser = createNotaryUser(urls.owner, cluster.caFile);
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateKey = file(
      releaser,
      'delegation-key.pem',
      pair.privateKey.export({ format: 'pem', type: 'sec1' }).toString(),
    );
    const publicKey = file(
      releaser,
      'delegation.pem',
      pair.publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    );

    // Who holds no snapshot key can publish only where the server signs snapshots.
    await owner.run('key', 'rotate', gun, 'snapshot', '-r');
    await owner.run('delegation', 'add', '-p', gun, 'targets/releases', publicKey, '--all-paths');
    expect(await owner.run('delegation', 'list', gun)).toContain('targets/releases');

    await releaser.run('key', 'import', privateKey, '-r', 'targets/releases');
    const three = file(releaser, 'v3.txt', 'three\n');
    await releaser.run('add', '-p', gun, 'v3', three, '-r', 'targets/releases');
    expect(listed(await reader.run('list', gun)).toSorted()).toEqual(['v2', 'v3']);
    expect(await reader.run('list', gun)).toContain('targets/releases');
    releaser.remove();
  });

  test('removes the delegation', async () => {
    const { owner, reader } = site();
    await owner.run('delegation', 'remove', '-p', '-y', gun, 'targets/releases');

    expect(await owner.run('delegation', 'list', gun)).toContain('No delegations present');
    expect(listed(await reader.run('list', gun))).toEqual(['v2']);
  });

  test.each([['targets'], ['snapshot'], ['snapshot', '-r'], ['timestamp', '-r'], ['root']])(
    'rotates a key: %s %s',
    async (role, ...flags) => {
      const { owner, reader } = site();
      await owner.run('key', 'rotate', gun, role, ...flags);

      expect(listed(await reader.run('list', gun))).toEqual(['v2']);
      await owner.run('add', '-p', gun, 'after', file(owner, 'after.txt', 'after\n'));
      expect(listed(await reader.run('list', gun)).toSorted()).toEqual(['after', 'v2']);
      await owner.run('remove', '-p', gun, 'after');
    },
  );

  test('signs again what a witness asks for', async () => {
    const { owner, reader } = site();
    await owner.run('witness', '-p', gun, 'targets');

    expect(listed(await reader.run('list', gun))).toEqual(['v2']);
  });
}

export function restartAndDelete(site: () => Site): void {
  test(
    'still finds everything after all processes were stopped and started again',
    async () => {
      const { cluster, owner, reader, ready } = site();
      const all = Object.values(cluster.processes).flat();
      for (const process of all) process.signal('SIGTERM');
      expect(await Promise.all(all.map((process) => process.ended()))).toEqual(all.map(() => 0));
      for (const process of all) process.start();
      await cluster.healthy();
      await ready();

      expect(listed(await reader.run('list', gun))).toEqual(['v2']);
      await owner.run('add', '-p', gun, 'v4', file(owner, 'v4.txt', 'four\n'));
      expect(listed(await reader.run('list', gun)).toSorted()).toEqual(['v2', 'v4']);
    },
    RESTART_LIMIT,
  );

  test('refuses a server whose certificate another CA signed', async () => {
    const { urls, owner } = site();
    const stranger = createNotaryUser(
      urls.owner,
      file(owner, 'other-ca.crt', readFileSync(join(owner.directory, 'v2.txt'), 'utf8')),
    );

    expect(await stranger.attempt('list', gun)).toMatchObject({ code: 1 });
    stranger.remove();
  });

  test('deletes the collection, here and there, and initialises it anew', async () => {
    const { cluster, urls, owner } = site();
    await owner.run('delete', '--remote', gun);
    const stranger = createNotaryUser(urls.reader, cluster.caFile);
    const gone = await stranger.attempt('list', gun);
    expect(gone).toMatchObject({ code: 1 });
    expect(gone.output).toContain('does not have trust data for');

    await owner.run('init', '-p', gun);
    await owner.run('add', '-p', gun, 'again', file(owner, 'again.txt', 'again\n'));
    expect(listed(await stranger.run('list', gun))).toEqual(['again']);
    stranger.remove();
  });
}
