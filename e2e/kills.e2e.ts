import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../scripts/places.ts';
import { startCluster, type Cluster, type Process } from './cluster.ts';
import { addTarget, createCollection, readSigned, type Collection } from './collection.ts';

const PUBLISHERS = 4;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ apis: 2, workers: 2, projectors: 1 });
});
afterAll(() => cluster?.stop());

const apiOf = (client: number) => cluster.urls[client % cluster.urls.length] ?? cluster.urls[0];
const only = (processes: readonly Process[], index = 0): Process => {
  const process = processes[index];
  if (process === undefined) throw new RangeError(`there is no process ${index}`);
  return process;
};

/** What one publisher was told about each target it tried to publish. */
interface Told {
  readonly collection: Collection;
  readonly accepted: string[];
  readonly refused: { readonly target: string; readonly answer: string }[];
  /** The connection broke: nobody can know. */
  readonly unanswered: string[];
}

/** Publishes one target after the other until told to stop. Never tries the same target twice. */
async function publishUntil(
  signal: AbortSignal,
  client: number,
  collection: Collection,
): Promise<Told> {
  const told: Told = { collection, accepted: [], refused: [], unanswered: [] };
  for (let round = 0; !signal.aborted; round += 1) {
    const target = `client-${client}-round-${round}`;
    try {
      const { status, code } = await addTarget(
        apiOf(client + round),
        collection,
        'targets',
        target,
      );
      if (status === 200) told.accepted.push(target);
      else told.refused.push({ target, answer: `${status} ${code}` });
    } catch {
      told.unanswered.push(target);
      await sleep(50); // an API that is away refuses connections at once
    }
  }
  return told;
}

/** Lets the publishers work, does the deed in the middle, and gives what they were told. */
async function while4Publish(deed: () => Promise<void>): Promise<Told[]> {
  const stop = new AbortController();
  const collections = await Promise.all(
    Array.from({ length: PUBLISHERS }, () => createCollection(cluster.urls[0])),
  );
  const publishers = collections.map((collection, client) =>
    publishUntil(stop.signal, client, collection),
  );
  await sleep(500);
  await deed();
  await sleep(1_000);
  stop.abort();
  return Promise.all(publishers);
}

async function expectTold(all: readonly Told[]): Promise<void> {
  for (const { collection, accepted, refused, unanswered } of all) {
    for (const url of cluster.urls) {
      const { targets, version } = await readSigned(url, collection.gun, 'targets.json');
      const present = new Set(Object.keys(targets));
      expect(accepted.filter((target) => !present.has(target))).toEqual([]);
      expect(refused.filter(({ target }) => present.has(target))).toEqual([]);
      const late = unanswered.filter((target) => present.has(target)).length;
      expect(version).toBe(1 + accepted.length + late);
    }
    const { status } = await addTarget(cluster.urls[0], collection, 'targets', 'afterwards');
    expect(status).toBe(200);
  }
}

const acceptedBy = (all: readonly Told[]) => all.flatMap(({ accepted }) => accepted).length;
const refusalsOf = (all: readonly Told[]) => [
  ...new Set(all.flatMap(({ refused }) => refused.map(({ answer }) => answer))),
];

/** Every row of the read model, in order. */
async function readModelRows(): Promise<unknown[]> {
  const client = new Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  const metafiles = await client.query(
    'select * from live_metafiles order by gun_sha256, role, version',
  );
  const changefeed = await client.query('select * from live_changefeed order by id');
  await client.end();
  return [...metafiles.rows, ...changefeed.rows];
}

test(
  'an API and workers that stood still for some seconds are back',
  { timeout: 90_000 },
  async () => {
    const stopped = [only(cluster.processes.api), ...cluster.processes['signer-worker']];
    for (const process of stopped) process.signal('SIGSTOP');
    await sleep(7_500); // longer than every time limit of a connection to the queue
    for (const process of stopped) process.signal('SIGCONT');

    await expect(cluster.healthy()).resolves.toBeUndefined();
  },
);

describe('kill -9 while four clients publish', () => {
  test('of a worker: every answer was true, and the other worker goes on', async () => {
    const worker = only(cluster.processes['signer-worker']);

    const told = await while4Publish(async () => {
      worker.signal('SIGKILL');
      await worker.ended();
      await sleep(6_000); // a job that it held is somebody else's by then
    });

    await expectTold(told);
    expect(refusalsOf(told)).toEqual([]);
    expect(acceptedBy(told)).toBeGreaterThan(PUBLISHERS);
    worker.start();
  });

  test('of the only projector: publishes go on without it', async () => {
    const projector = only(cluster.processes.projector);

    const told = await while4Publish(async () => {
      projector.signal('SIGKILL');
      await projector.ended();
      await sleep(2_000);
    });

    await expectTold(told);
    expect(refusalsOf(told)).toEqual([]);
    expect(acceptedBy(told)).toBeGreaterThan(PUBLISHERS);
    projector.start();
  });

  test('of an API: what it had accepted is there, and nothing is half done', async () => {
    const api = only(cluster.processes.api);

    const told = await while4Publish(async () => {
      api.signal('SIGKILL');
      await api.ended();
      await sleep(500);
      api.start();
      await cluster.healthy();
    });

    await expectTold(told);
    // An append that was under way when its API died may land after the client has read: then it lost.
    expect(refusalsOf(told).filter((answer) => answer !== '400 VERSION')).toEqual([]);
    expect(acceptedBy(told)).toBeGreaterThan(PUBLISHERS);
  });

  test('of all of them: everything that was accepted is there afterwards', async () => {
    const all = Object.values(cluster.processes).flat();

    const told = await while4Publish(async () => {
      for (const process of all) process.signal('SIGKILL');
      await Promise.all(all.map((process) => process.ended()));
      for (const process of all) process.start();
      await cluster.healthy();
    });

    await expectTold(told);
    expect(acceptedBy(told)).toBeGreaterThan(PUBLISHERS);
  });

  test('and after all that a replay of the log gives the read model that was there', async () => {
    const before = await readModelRows();

    const replay = join(ROOT, 'apps/projector/src/replay.ts');
    await promisify(execFile)(process.execPath, [replay, '-config', cluster.configFile]);

    expect(before.length).toBeGreaterThan(0);
    expect(await readModelRows()).toEqual(before);
  });
});
