// Three APIs behind haproxy, three workers, two projectors: every request goes to another API than the
// one before, and nobody is to notice.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCluster, type Cluster, type Process } from './cluster.ts';
import { addTarget, createCollection, readSigned, type Collection } from './collection.ts';
import {
  createSite,
  delegateAndRotate,
  publishAndRead,
  restartAndDelete,
  type Site,
} from './newcomer-scenario.ts';
import { answersThrough, startLoadBalancer, type Proxy } from './proxy.ts';
import { exchange, getFile } from './tuf-http.ts';

/** haproxy may have to be fetched first, and eight processes start on few processors. */
const LIMIT = 120_000;

let cluster: Cluster;
let balancer: Proxy;
let site: Site;

beforeAll(async () => {
  cluster = await startCluster({ apis: 3, workers: 3, projectors: 2 });
  balancer = await startLoadBalancer(cluster.urls.map((url) => `127.0.0.1:${new URL(url).port}`));
  const { url } = balancer;
  site = createSite({
    cluster,
    urls: { owner: url, reader: url },
    ready: () => until(() => answersThrough(url)),
  });
}, LIMIT);

afterAll(async () => {
  site?.remove();
  await balancer?.stop();
  await cluster?.stop();
}, LIMIT);

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not so after 60 s: ${condition.toString()}`);
    await sleep(50);
  }
}

/** The API that answered each request so far, in the order of the answers. */
const served = () => servedIn(balancer.log());

const servedIn = (log: string) =>
  [...log.matchAll(/ notary~ apis\/(api-\d) /g)].map(([, api]) => api);

const second = (processes: readonly Process[]): Process => {
  const process = processes[1];
  if (process === undefined) throw new RangeError('there is no second process');
  return process;
};

async function kill(process: Process): Promise<void> {
  process.signal('SIGKILL');
  await process.ended();
}

/** How often workers have come so far that they take jobs. */
const startsOf = (workers: readonly Process[]) =>
  workers.map((worker) => worker.log().split('"taking jobs"').length - 1).reduce((a, b) => a + b);

/** Statuses of the reads of one client after the other, until told to stop. */
async function readUntil(signal: AbortSignal, { gun }: Collection): Promise<number[]> {
  const statuses: number[] = [];
  while (!signal.aborted) {
    const { status } = await getFile(balancer.url, gun, 'timestamp.json');
    statuses.push(status);
  }
  return statuses;
}

/** What one publisher was told about each of its targets, until told to stop. */
async function publishUntil(signal: AbortSignal, collection: Collection) {
  const told = { accepted: new Array<string>(), others: new Array<string>() };
  for (let round = 0; !signal.aborted; round += 1) {
    const target = `round-${round}`;
    try {
      const { status, code } = await addTarget(balancer.url, collection, 'targets', target);
      if (status === 200) told.accepted.push(target);
      else told.others.push(`${status} ${code}`);
    } catch (error) {
      told.others.push(String(error));
    }
  }
  return told;
}

describe('the real client, with every request to another API', () => {
  publishAndRead(() => site);

  test('was served by all three in turn', () => {
    const apis = served();

    expect(new Set(apis)).toEqual(new Set(['api-1', 'api-2', 'api-3']));
    expect(apis.length).toBeGreaterThan(30);
    expect(apis.filter((api, index) => api === apis[index - 1])).toEqual([]);
  });

  test(
    'kill -9 of an API and a worker while others read and publish: no read fails, and nothing that was accepted is lost',
    async () => {
      const stop = new AbortController();
      const collections = await Promise.all([1, 2].map(() => createCollection(balancer.url)));
      const readers = collections.map((collection) => readUntil(stop.signal, collection));
      const publishers = collections.map((collection) => publishUntil(stop.signal, collection));
      await sleep(500);

      await kill(second(cluster.processes.api));
      await kill(second(cluster.processes['signer-worker']));
      await sleep(3_000);
      stop.abort();

      const [read, told] = await Promise.all([Promise.all(readers), Promise.all(publishers)]);
      const statuses = read.flat();
      expect(statuses.length).toBeGreaterThan(10);
      expect(statuses.filter((status) => status !== 200)).toEqual([]);
      for (const [index, { accepted, others }] of told.entries()) {
        const collection = collections[index] as Collection;
        // At most what that API had in hand: haproxy says so, or closes a connection it had used before.
        expect(['', '502 undefined', 'Error: socket hang up']).toContain(others.join());
        const { targets } = await readSigned(balancer.url, collection.gun, 'targets.json');
        expect(accepted.filter((target) => !(target in targets))).toEqual([]);
        const after = await addTarget(balancer.url, collection, 'targets', 'afterwards');
        expect(after.status).toBe(200);
      }
    },
    LIMIT,
  );

  delegateAndRotate(() => site);

  test('no request went to the API that was found dead', async () => {
    const log = balancer.log();
    const down = log.indexOf('Server apis/api-2 is DOWN');

    expect(down).toBeGreaterThan(0);
    expect(new Set(servedIn(log.slice(down)))).toEqual(new Set(['api-1', 'api-3']));
  });

  test(
    'an API that comes back gets its share again',
    async () => {
      second(cluster.processes.api).start();
      second(cluster.processes['signer-worker']).start();
      await until(() => balancer.log().includes('Server apis/api-2 is UP'));

      const before = served().length;
      for (let round = 0; round < 6; round += 1) await exchange('GET', `${balancer.url}/v2/`);

      await until(() => served().length >= before + 6);
      for (const api of ['api-1', 'api-2', 'api-3']) {
        expect(
          served()
            .slice(before)
            .filter((server) => server === api),
        ).toHaveLength(2);
      }
    },
    LIMIT,
  );

  test(
    'without any worker nothing can be published, and everything can be read',
    async () => {
      const collection = await createCollection(balancer.url);
      const workers = cluster.processes['signer-worker'];
      await Promise.all(workers.map(kill));
      await until(() => balancer.log().includes('backend apis has no server available'));

      for (let round = 0; round < 6; round += 1) {
        const { status } = await getFile(balancer.url, collection.gun, 'timestamp.json');
        expect(status).toBe(200);
      }
      const publish = () => addTarget(balancer.url, collection, 'targets', 'a');
      expect(await publish()).toMatchObject({ status: 503, code: 'UNAVAILABLE' });

      const starts = startsOf(workers);
      for (const worker of workers) worker.start();
      await until(() => startsOf(workers) === starts + workers.length);
      await until(async () => (await publish()).status === 200);
    },
    LIMIT,
  );

  test('no program shows a secret to who lists processes', () => {
    const settings = [cluster.configFile, cluster.apiConfigFile].map((file) =>
      readFileSync(file, 'utf8'),
    );
    const passwords = settings.map((text) => {
      const { storage } = JSON.parse(text) as { storage: { db_url: string } };
      return new URL(storage.db_url).password;
    });
    const [, jobKeys = ''] = /"job_key_file":"([^"]+)"/.exec(settings.join('')) ?? [];
    const secrets = [...passwords, readFileSync(jobKeys, 'utf8').trim(), 'a test passphrase'];
    expect(secrets.every((secret) => secret.length > 10)).toBe(true);

    const programs = Object.values(cluster.processes).flat();
    for (const { pid } of programs) {
      const shown = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      expect(shown).toContain('main.ts');
      expect(secrets.filter((secret) => shown.includes(secret))).toEqual([]);
    }
  });

  restartAndDelete(() => site);
});
