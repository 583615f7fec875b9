// nginx, configured as docs/examples/nginx.conf has it, in front of two APIs.

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun, type Gun } from '@scrivener/tuf';
import { createPublisher } from '@scrivener/tuf/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCluster, type Cluster } from './cluster.ts';
import { addTarget, createCollection, readSigned } from './collection.ts';
import { createNotaryUser } from './notary-client.ts';
import { startCachingProxy, type Proxy } from './proxy.ts';
import { exchange, getFile, getKey, postUpdate, type Answer } from './tuf-http.ts';

/** nginx may have to be fetched first. */
const LIMIT = 120_000;
/** Long enough for a test to publish and to read again within it, in seconds. */
const MAX_AGE = 6;

let cluster: Cluster;
let proxy: Proxy;

beforeAll(async () => {
  cluster = await startCluster({ apis: 2, currentMaxAge: MAX_AGE });
  proxy = await startCachingProxy(cluster.urls.map((url) => `127.0.0.1:${new URL(url).port}`));
}, LIMIT);

afterAll(async () => {
  await proxy?.stop();
  await cluster?.stop();
}, LIMIT);

/** Until what was current when it was stored has to be asked for again; nginx counts whole seconds. */
const expiry = () => sleep((MAX_AGE + 1) * 1000 + 100);
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const urlOf = (gun: Gun, file: string) => `${proxy.url}/v2/${gun}/_trust/tuf/${file}`;

/** A line `response completed` that some API has logged. */
interface Line {
  readonly msg: string;
  readonly 'http.request.method': string;
  readonly 'http.request.uri': string;
  readonly 'http.response.status': number;
}

/** What reached the APIs of this path, as `GET 200`. It is logged just after it is answered. */
async function upstream(path: string): Promise<string[]> {
  await sleep(200);
  return cluster.processes.api
    .flatMap((api) => api.log().split('\n'))
    .filter((line) => line.startsWith('{') && line.includes('response completed'))
    .map((line) => JSON.parse(line) as Line)
    .filter((line) => line['http.request.uri'] === path)
    .map((line) => `${line['http.request.method']} ${line['http.response.status']}`);
}

const pathOf = (gun: Gun, file = '') => `/v2/${gun}/_trust/tuf/${file}`;
const fromCache = ({ headers }: Answer) => headers['x-cache'];

// At the same time, for most of them wait; each has a collection of its own.
describe.concurrent('a caching proxy', () => {
  test.each([
    ['by checksum', (root: Buffer) => `root.${sha256(root)}.json`],
    ['by version', () => '1.root.json'],
  ])('asks us once for what is named %s', async (_how, fileOf) => {
    const { gun } = await createCollection(cluster.urls[0]);
    const { body: root } = await getFile(cluster.urls[0], gun, 'root.json');
    const file = fileOf(root);

    const answers = [];
    for (let read = 0; read < 3; read += 1) answers.push(await getFile(proxy.url, gun, file));
    await expiry();
    answers.push(await getFile(proxy.url, gun, file));

    expect(answers.map(({ body }) => body.equals(root))).toEqual([true, true, true, true]);
    expect(answers.map(fromCache)).toEqual(['MISS', 'HIT', 'HIT', 'HIT']);
    expect(await upstream(pathOf(gun, file))).toEqual(['GET 200']);
  });

  test('shows a publish through timestamp.json as soon as its max-age is over, and no sooner', async () => {
    const collection = await createCollection(cluster.urls[0]);
    const { gun } = collection;
    const versionOf = async () => (await readSigned(proxy.url, gun, 'timestamp.json')).version;
    expect(await versionOf()).toBe(1);

    expect((await addTarget(cluster.urls[0], collection, 'targets', 'a')).status).toBe(200);
    expect(await versionOf()).toBe(1);
    await expiry();

    expect(await versionOf()).toBe(2);
    const timestamp = await readSigned(proxy.url, gun, 'timestamp.json');
    const { hashes } = (timestamp['meta'] as Record<string, { hashes: { sha256: string } }>)[
      'snapshot'
    ] ?? { hashes: { sha256: '' } };
    const listed = Buffer.from(hashes.sha256, 'base64').toString('hex');
    const snapshot = await getFile(proxy.url, gun, `snapshot.${listed}.json`);
    expect(sha256(snapshot.body)).toBe(listed);
  });

  test('serves the real client, while its publishers go past it', async () => {
    const owner = createNotaryUser(cluster.urls[0], cluster.caFile);
    const reader = createNotaryUser(proxy.url, cluster.caFile);
    const gun = `example.com/${crypto.randomUUID()}`;
    const file = join(owner.directory, 'file');
    writeFileSync(file, 'content\n');
    const fresh = createNotaryUser(proxy.url, cluster.caFile);

    await owner.run('init', '-p', gun);
    expect(await reader.run('list', gun)).toContain('No targets present');
    for (const target of ['v1', 'v2', 'v3']) await owner.run('add', '-p', gun, target, file);
    await expiry();

    for (const user of [reader, fresh]) {
      expect((await user.run('list', gun)).match(/^v\d/gm)?.toSorted()).toEqual(['v1', 'v2', 'v3']);
    }
    for (const user of [owner, reader, fresh]) user.remove();
  });

  test('revalidates with the ETag, and we send no bytes that it has', async () => {
    const { gun } = await createCollection(cluster.urls[0]);
    const first = await getFile(proxy.url, gun, 'root.json');
    await expiry();

    const again = await getFile(proxy.url, gun, 'root.json');
    const third = await getFile(proxy.url, gun, 'root.json');

    expect([first, again, third].map(fromCache)).toEqual(['MISS', 'REVALIDATED', 'HIT']);
    expect(again.body.equals(first.body)).toBe(true);
    expect(await upstream(pathOf(gun, 'root.json'))).toEqual(
      expect.arrayContaining(['GET 200', 'GET 304']),
    );
    expect(await upstream(pathOf(gun, 'root.json'))).toHaveLength(2);
  });

  test('answers 304 by itself to a client that has the file', async () => {
    const { gun } = await createCollection(cluster.urls[0]);
    const { headers } = await getFile(proxy.url, gun, '1.root.json');

    const tags = { 'If-None-Match': String(headers.etag) };
    const { status } = await exchange('GET', urlOf(gun, '1.root.json'), undefined, tags);
    const head = await exchange('HEAD', urlOf(gun, '1.root.json'));

    expect(status).toBe(304);
    expect(head).toMatchObject({ status: 200, headers: { etag: headers.etag } });
    expect(head.body).toHaveLength(0);
    expect(await upstream(pathOf(gun, '1.root.json'))).toEqual(['GET 200']);
  });

  test('never hides the first publish behind the 404 that was there before it', async () => {
    const { gun, parts, root } = await unpublished();
    const files = ['timestamp.json', '1.root.json', `root.${sha256(root)}.json`];
    const read = async () =>
      (await Promise.all(files.map((file) => getFile(proxy.url, gun, file)))).map(
        ({ status }) => status,
      );
    expect(await read()).toEqual([404, 404, 404]);
    expect(await read()).toEqual([404, 404, 404]);

    const { status } = await postUpdate(proxy.url, gun, parts);

    expect(status).toBe(200);
    expect(await read()).toEqual([200, 200, 200]);
  });

  test('never keeps a POST or the answer to it, nor keys, the changefeed or a deletion', async () => {
    const { gun, parts } = await unpublished();

    const posts = [
      await postUpdate(proxy.url, gun, parts),
      await postUpdate(proxy.url, gun, parts),
    ];
    expect(posts.map(({ status }) => status)).toEqual([200, 200]);
    expect(await upstream(pathOf(gun))).toHaveLength(2);

    for (const [method, path] of [
      ['GET', pathOf(gun, 'timestamp.key')],
      ['GET', `/v2/${gun}/_trust/changefeed?records=1`],
      ['GET', '/v2/'],
      ['POST', pathOf(gun, 'timestamp.key')],
      ['DELETE', pathOf(gun)],
    ] as const) {
      const before = (await upstream(path)).length;
      const answers = [
        await exchange(method, `${proxy.url}${path}`),
        await exchange(method, `${proxy.url}${path}`),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers.map(fromCache)).not.toContain('HIT');
      expect(await upstream(path)).toHaveLength(before + 2);
    }
  });

  test('asks us for everything that is asked for with a token, and keeps nothing of it', async () => {
    const { gun } = await createCollection(cluster.urls[0]);
    const withToken = () =>
      exchange('GET', urlOf(gun, '1.root.json'), undefined, { Authorization: 'Bearer x' });

    const answers = [
      await withToken(),
      await withToken(),
      await getFile(proxy.url, gun, '1.root.json'),
    ];
    const cached = await getFile(proxy.url, gun, '1.root.json');

    expect(answers.map(fromCache)).toEqual(['BYPASS', 'BYPASS', 'MISS']);
    expect(fromCache(cached)).toBe('HIT');
    expect(await withToken().then(fromCache)).toBe('BYPASS');
    expect(await upstream(pathOf(gun, '1.root.json'))).toHaveLength(4);
  });

  test('lets nobody wait for others who ask for what cannot be kept', async () => {
    const gun = `example.com/${crypto.randomUUID()}`;
    const urls = [`${proxy.url}/v2/`, `${proxy.url}/v2/${gun}/_trust/tuf/timestamp.json`];
    const started = Date.now();

    const crowd = Array.from({ length: 20 }, () => urls.map((url) => exchange('GET', url))).flat();
    const statuses = (await Promise.all(crowd)).map(({ status }) => status);

    expect(new Set(statuses)).toEqual(new Set([200, 404]));
    // One after the other, they take half a second each until nginx loses patience after five.
    expect(Date.now() - started).toBeLessThan(4_500);
  });

  test('passes on every path as it was written', async () => {
    const moved = await exchange('GET', `${proxy.url}/v2/a%2F%2Fb/_trust/tuf/root.json?x=1`);
    expect(moved).toMatchObject({
      status: 301,
      headers: { location: '/v2/a/b/_trust/tuf/root.json?x=1' },
    });

    const long = await exchange(
      'GET',
      `${proxy.url}/v2/${'a'.repeat(30_000)}/_trust/tuf/root.json`,
    );
    expect(long).toMatchObject({ status: 404, code: 'METADATA_NOT_FOUND' });
  });
});

/** A collection that is signed and not published yet. */
async function unpublished() {
  const gun = parseGun(`example.com/${crypto.randomUUID()}`);
  if (gun === undefined) throw new RangeError('not a GUN');
  const publisher = createPublisher(gun, {
    serverKeys: {
      timestamp: await getKey(cluster.urls[0], gun, 'timestamp'),
      snapshot: await getKey(cluster.urls[0], gun, 'snapshot'),
    },
  });
  const [root, targets] = [publisher.root(), publisher.targets()];
  return { gun, parts: [root, targets], root: Buffer.from(root.bytes) };
}
