import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCluster, type Cluster } from './cluster.ts';
import {
  addTarget,
  allVersions,
  createCollection,
  readSigned,
  type Collection,
} from './collection.ts';
import { getChanges, getFile } from './tuf-http.ts';

const ROUNDS = 12;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ apis: 2, workers: 2, projectors: 1 });
});
afterAll(() => cluster?.stop());

const apiOf = (client: number) => cluster.urls[client % cluster.urls.length] ?? cluster.urls[0];

interface Outcome {
  readonly accepted: string[];
  readonly refusals: string[];
}

/** One client that publishes its targets one after the other, each until it is accepted. */
async function publishAll(
  client: number,
  collection: Collection,
  role: 'targets' | 'targets/releases',
): Promise<Outcome> {
  const accepted: string[] = [];
  const refusals: string[] = [];
  for (let round = 0; round < ROUNDS;) {
    const target = `client-${client}-round-${round}`;
    const { status, code } = await addTarget(apiOf(client), collection, role, target);
    if (status === 200) {
      accepted.push(target);
      round += 1;
    } else {
      refusals.push(`${status} ${code}`);
    }
  }
  return { accepted, refusals };
}

const versionOf = (bytes: Buffer) =>
  (JSON.parse(bytes.toString()) as { signed: { version: number } }).signed.version;

describe('clients that publish to one collection at once, through two APIs', () => {
  test('lose nothing that was accepted, leave no gap, and hear VERSION when they lost', async () => {
    const collection = await createCollection(cluster.urls[0], ['targets/releases']);
    const { gun } = collection;

    const outcomes = await Promise.all(
      [0, 1, 2, 3].map((client) =>
        publishAll(client, collection, client < 2 ? 'targets' : 'targets/releases'),
      ),
    );

    const refusals = new Set(outcomes.flatMap((outcome) => outcome.refusals));
    expect([...refusals].filter((refusal) => refusal !== '400 VERSION')).toEqual([]);

    for (const url of cluster.urls) {
      const targets = await readSigned(url, gun, 'targets.json');
      const releases = await readSigned(url, gun, 'targets/releases.json');
      const present = [...Object.keys(targets.targets), ...Object.keys(releases.targets)];
      expect(present.toSorted()).toEqual(outcomes.flatMap(({ accepted }) => accepted).toSorted());
      expect(targets.version).toBe(1 + 2 * ROUNDS);
      expect(releases.version).toBe(1 + 2 * ROUNDS);
    }

    const timestamps = await allVersions(cluster.urls[0], gun, 'timestamp');
    expect(timestamps).toHaveLength(1 + 4 * ROUNDS);
    expect(timestamps.map(versionOf)).toEqual(timestamps.map((_, index) => index + 1));
  });

  test('leave every timestamp with a chain that resolves byte for byte', async () => {
    const collection = await createCollection(cluster.urls[0], ['targets/releases']);
    const { gun } = collection;
    await Promise.all([
      publishAll(0, collection, 'targets'),
      publishAll(1, collection, 'targets/releases'),
    ]);

    for (const timestamp of await allVersions(
      cluster.urls[1] ?? cluster.urls[0],
      gun,
      'timestamp',
    )) {
      const [snapshot] = await follow(timestamp, gun);
      for (const file of await follow(snapshot?.bytes ?? Buffer.alloc(0), gun)) {
        expect(file.found).toBe(file.listed);
      }
    }
  });

  test('appear in the changefeed once each', async () => {
    const { body } = await getChanges(cluster.urls[0], 1000);
    const { records } = JSON.parse(body.toString()) as {
      records: { ID: string; GUN: string; Version: number }[];
    };

    expect(records.map(({ ID }) => Number(ID))).toEqual(records.map((_, index) => index + 1));
    const seen = records.map(({ GUN, Version }) => `${GUN} ${Version}`);
    expect(new Set(seen).size).toBe(seen.length);
  });
});

/** The files that a snapshot or timestamp lists, fetched by the checksums it lists. */
async function follow(bytes: Buffer, gun: Collection['gun']) {
  const { signed } = JSON.parse(bytes.toString()) as {
    signed: { meta: Record<string, { hashes: { sha256: string } }> };
  };
  return Promise.all(
    Object.entries(signed.meta).map(async ([role, { hashes }]) => {
      const listed = Buffer.from(hashes.sha256, 'base64').toString('hex');
      const { body } = await getFile(cluster.urls[0], gun, `${role}.${listed}.json`);
      return { bytes: body, listed, found: createHash('sha256').update(body).digest('hex') };
    }),
  );
}
