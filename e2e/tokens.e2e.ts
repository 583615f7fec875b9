// Who may do what with tokens of a token server, as the real client sees it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { postgresEventStore } from '@scrivener/events/postgres';
import { parseGun } from '@scrivener/tuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCluster, type Cluster } from './cluster.ts';
import { createNotaryUser, type NotaryUser } from './notary-client.ts';
import { startTokenServer, type TokenServer } from './token-server.ts';

const OPEN = 'example.com/open/hello';
const CLOSED = 'example.com/closed/hello';
const OURS = 'repository:example.com/';

const WRITER = 'writer:w';
const READER = 'reader:r';
const ADMIN = 'admin:a';

/** What the client says of a 401. */
const REFUSED = 'you are not authorized to perform this operation: server returned 401.';

let tokens: TokenServer;
let cluster: Cluster;
/** The keys of both collections, whoever uses them. */
let keys: NotaryUser;
/** Somebody else, who has no keys. */
let elsewhere: NotaryUser;
beforeAll(async () => {
  tokens = await startTokenServer({
    accounts: {
      writer: { password: 'w', rights: { [OURS]: ['push', 'pull'] } },
      reader: { password: 'r', rights: { [OURS]: ['pull'] } },
      admin: { password: 'a', rights: { [OURS]: ['*'] } },
    },
    everybody: { 'repository:example.com/open/': ['pull'] },
  });
  cluster = await startCluster({ server: { auth: tokens.auth } });
  keys = createNotaryUser(cluster.urls[0], cluster.caFile);
  elsewhere = createNotaryUser(cluster.urls[0], cluster.caFile);
});
afterAll(async () => {
  keys.remove();
  elsewhere.remove();
  await cluster.stop();
  await tokens.stop();
});

/** Runs the client and gives what it said when it failed. */
async function refusalOf(user: NotaryUser, ...args: readonly string[]): Promise<string> {
  const { code, output } = await user.attempt(...args);
  expect(code).toBe(1);
  return output;
}

// Each test relies on those before it.

test('nobody initialises a collection without the right to push', async () => {
  expect(await refusalOf(keys, 'init', '-p', OPEN)).toContain(REFUSED);
  expect(await refusalOf(keys.loggedIn(READER), 'init', '-p', CLOSED)).toContain(REFUSED);
});

test('who may push initialises and publishes, by a token for exactly that', async () => {
  const writer = keys.loggedIn(WRITER);
  await writer.run('init', '-p', OPEN);
  await writer.run('init', '-p', CLOSED);
  const file = join(keys.directory, 'v1.txt');
  writeFileSync(file, 'hello\n');

  expect(await writer.run('add', '-p', OPEN, 'v1', file)).toContain(
    `Successfully published changes for repository ${OPEN}`,
  );
  expect(tokens.asked.at(-1)).toEqual({
    account: 'writer',
    scopes: [`repository:${OPEN}:push,pull`],
  });
});

test('who may only pull cannot publish, though they have the keys', async () => {
  await keys.run('addhash', OPEN, 'v2', '3', '--sha256', 'a'.repeat(64));

  expect(await refusalOf(keys.loggedIn(READER), 'publish', OPEN)).toContain(REFUSED);
  expect(await refusalOf(keys, 'publish', OPEN)).toContain(REFUSED);
  expect(await refusalOf(keys.loggedIn('writer:wrong'), 'publish', OPEN)).toContain(
    'unauthorized: authentication required',
  );
  expect(await elsewhere.run('list', OPEN)).not.toContain('v2');

  await keys.loggedIn(WRITER).run('publish', OPEN);
  expect(await elsewhere.run('list', OPEN)).toContain('v2');
});

test('what everybody may pull is read without a login', async () => {
  const asked = tokens.asked.length;
  const list = await elsewhere.run('list', OPEN);

  expect(list).toMatch(/^v1 /m);
  const since = tokens.asked.slice(asked);
  expect(new Set(since.map(({ account }) => account))).toEqual(new Set(['']));
});

test('what not everybody may pull is read by those who may', async () => {
  expect(await refusalOf(elsewhere, 'list', CLOSED)).toContain(REFUSED);
  expect(await elsewhere.loggedIn(READER).run('list', CLOSED)).toContain('No targets present');
});

test.each(['timestamp', 'snapshot'])(
  'to rotate the %s key of the server takes every right',
  async (role) => {
    const rotate = ['key', 'rotate', OPEN, role, '-r'];

    expect(await refusalOf(keys.loggedIn(WRITER), ...rotate)).toContain(
      `unable to rotate remote key: ${REFUSED}`,
    );
    expect(await keys.loggedIn(ADMIN).run(...rotate)).toContain(
      `Successfully rotated ${role} key for repository ${OPEN}`,
    );
    expect(await elsewhere.run('list', OPEN)).toMatch(/^v1 /m);
  },
);

test('to delete takes every right', async () => {
  // The client forgets its own copy first, so it has to read from the server then.
  expect(await refusalOf(keys.loggedIn(WRITER), 'delete', '--remote', OPEN)).toContain(REFUSED);
  expect(await keys.run('list', OPEN)).toMatch(/^v1 /m);

  await keys.loggedIn(ADMIN).run('delete', '--remote', OPEN);
  expect(await refusalOf(keys, 'list', OPEN)).toContain('does not have trust data');
});

test('the log of events says who did it', async () => {
  const gun = parseGun(OPEN);
  if (gun === undefined) throw new Error('no GUN');
  const store = await postgresEventStore(cluster.databaseUrl, { poolSize: 1 });
  const events = await store.readStream(gun, 0);
  await store.close();

  expect(events.map(({ event }) => [event.type, event.cause.subject])).toEqual([
    ['KeyCreated', 'writer'],
    ['UpdatePublished', 'writer'],
    ['UpdatePublished', 'writer'],
    ['UpdatePublished', 'writer'],
    ['KeyCreated', 'admin'],
    ['UpdatePublished', 'admin'],
    ['KeyCreated', 'admin'],
    ['UpdatePublished', 'admin'],
    ['RepositoryDeleted', 'admin'],
  ]);
});
