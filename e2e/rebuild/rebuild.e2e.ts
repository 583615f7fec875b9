// The read model is rebuilt, killed, flipped and flipped back, while everything is read and published to.

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { generateLog } from '../../scripts/generate-log/generate.ts';
import { withClient } from '../answers.ts';
import { startCluster, type Cluster } from '../cluster.ts';
import { driveRebuild, type Drive } from './drive.ts';

const LIMIT = 240_000;
const EVENTS = 4_000;

let cluster: Cluster;
let drive: Drive;
beforeAll(async () => {
  cluster = await startCluster({
    apis: 2,
    server: { limits: { history: 20 } },
    beforeStart: ({ server }) =>
      generateLog({ url: server, events: EVENTS, collections: 12, seed: 5, end: Date.now() }),
  });
  await withClient(cluster.databaseUrl, (client) =>
    vi.waitFor(
      async () => {
        const { rows } = await client.query<{ position: string }>(
          'select position from projections where live',
        );
        if (rows[0]?.position !== `${EVENTS}`) throw new Error('it is not projected yet');
      },
      { timeout: 60_000, interval: 100 },
    ),
  );
  drive = await driveRebuild(cluster, {
    seed: 1,
    readers: 4,
    publishers: 2,
    sample: { each: 20 },
    say: (line) => console.log(line),
  });
}, LIMIT);
afterAll(async () => {
  await cluster?.stop();
}, LIMIT);

test('not one GET failed or was different, and not one publish failed', () => {
  expect(drive.tally.wrong).toEqual([]);
  expect(drive.tally.wrongs).toBe(0);
});

test('it was read and published to in every step', () => {
  expect(drive.frozen).toBeGreaterThan(500);
  expect(drive.steps).toHaveLength(7);
  for (const { reads, publishes } of drive.steps) {
    expect(reads).toBeGreaterThan(20);
    expect(publishes).toBeGreaterThan(0);
  }
});

test('it was killed in the middle, went on there, and became live; and so did the way back', () => {
  expect(drive.kills).toBeGreaterThan(0);
  const outcomes = drive.steps.slice(2, -1).map(({ outcome }): unknown => JSON.parse(outcome));
  const first = 4 - drive.kills; // where a kill came too late, that one had become live
  const [live, former] = [first, first - 1];
  expect(outcomes).toMatchObject(
    [live, former, live + 1, former].map((generation) => ({ result: 'live', generation })),
  );
});
