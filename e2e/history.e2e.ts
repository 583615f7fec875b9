// Three APIs behind haproxy: what is published through one is streamed by the others.

import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { CA_FILE } from '../fixtures/certificates.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { addTarget, createCollection, type Collection } from './collection.ts';
import { answersThrough, startCachingProxy, startLoadBalancer, type Proxy } from './proxy.ts';
import { exchange } from './tuf-http.ts';

const LIMIT = 120_000;
const PAST = '/_notary_server/v1';

let cluster: Cluster;
let balancer: Proxy;
let collection: Collection;
beforeAll(async () => {
  cluster = await startCluster({ apis: 3, workers: 1, projectors: 1 });
  balancer = await startLoadBalancer(cluster.urls.map((url) => `127.0.0.1:${new URL(url).port}`));
  await vi.waitFor(
    async () => {
      if (!(await answersThrough(balancer.url))) throw new Error('no API is up yet');
    },
    { timeout: 60_000 },
  );
  collection = await createCollection(balancer.url);
}, LIMIT);
afterAll(async () => {
  await balancer?.stop();
  await cluster?.stop();
}, LIMIT);

/** What a stream says, as it comes, and when it ends. */
function follow(after: number, url = balancer.url, ca = readFileSync(CA_FILE)) {
  const said = { text: '' };
  const ended = new Promise<void>((resolve, reject) => {
    const sent = get(`${url}${PAST}/events?stream=1&after=${after}`, { ca }, (response) => {
      response.on('data', (chunk: Buffer) => (said.text += chunk.toString()));
      response.on('close', () => resolve());
      response.on('error', () => resolve());
    });
    sent.on('error', reject);
  });
  return { said, ended };
}
const idsOf = ({ text }: { readonly text: string }) =>
  [...text.matchAll(/^id: (\d+)\ndata:/gm)].map(([, id]) => Number(id));
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

test(
  'nginx, as the example has it, holds nothing of a stream back',
  async () => {
    const proxy = await startCachingProxy([`127.0.0.1:${new URL(cluster.urls[0]).port}`]);
    try {
      const { said } = follow(0, proxy.url);
      for (const name of ['first', 'second']) {
        await addTarget(cluster.urls[0], collection, 'targets', name);
        const { body } = await exchange('GET', `${cluster.urls[0]}${PAST}/events?limit=1000`);
        const { next } = JSON.parse(body.toString()) as { readonly next: number };
        await expect.poll(() => idsOf(said), { timeout: 10_000 }).toEqual(upTo(next));
      }
    } finally {
      await proxy.stop();
    }
  },
  LIMIT,
);

test(
  'streams through haproxy have all events at once, whichever API was asked, and end with their API',
  async () => {
    const streams = [follow(0), follow(0), follow(0)];
    for (const name of ['a', 'b', 'c']) await addTarget(balancer.url, collection, 'targets', name);
    const { body } = await exchange('GET', `${balancer.url}${PAST}/events?limit=1000`);
    const { next } = JSON.parse(body.toString()) as { readonly next: number };

    for (const { said } of streams) {
      await expect.poll(() => idsOf(said), { timeout: 10_000 }).toEqual(upTo(next));
    }
    for (const api of cluster.processes.api) api.signal('SIGTERM');
    await Promise.all(streams.map(({ ended }) => ended));
    const codes = await Promise.all(cluster.processes.api.map((api) => api.ended()));
    expect(codes).toEqual([0, 0, 0]);
  },
  LIMIT,
);
