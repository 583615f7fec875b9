import { afterAll, beforeAll, describe } from 'vitest';
import { startCluster, type Cluster } from './cluster.ts';
import {
  createSite,
  delegateAndRotate,
  publishAndRead,
  restartAndDelete,
  type Site,
} from './newcomer-scenario.ts';

let cluster: Cluster;
let site: Site;

beforeAll(async () => {
  cluster = await startCluster({ apis: 2, workers: 2, projectors: 2 });
  const [owner, reader = owner] = cluster.urls;
  site = createSite({ cluster, urls: { owner, reader }, ready: () => cluster.healthy() });
});

afterAll(async () => {
  site?.remove();
  await cluster?.stop();
});

describe('the real client', () => {
  publishAndRead(() => site);
  delegateAndRotate(() => site);
  restartAndDelete(() => site);
});
