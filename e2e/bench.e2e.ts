// The benchmark, as small as it can be: it measures everything it says it does, and nothing fails. How
// fast anything is is not asked here.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../bench/series.ts';
import { ROOT } from '../scripts/places.ts';
import { startCluster, type Cluster } from './cluster.ts';

/** wrk and nginx may have to be fetched first, and the machine may be busy. */
const LIMIT = 600_000;

const folder = mkdtempSync(join(tmpdir(), 'bench-e2e-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function bench(name: string, words: readonly string[]) {
  const file = join(folder, `${name}.json`);
  const small = ['--runs', '1', '--seconds', '0.3', '--collections', '8', '--clients', '2'];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'bench/main.ts'), ...words, ...small, '--files', '10', '--json', file],
    { cwd: ROOT, timeout: LIMIT - 10_000 },
  );
  return { table: stdout, report: JSON.parse(readFileSync(file, 'utf8')) as Report };
}

const workAndSide = ({ series }: Report) =>
  series.map(({ bench, work, side }) => `${bench}: ${work}: ${side}`);

describe('npm run bench', () => {
  test('measures our stack beside the limits of the machine', { timeout: LIMIT }, async () => {
    const works = ['reads', 'publish', 'init', 'mixed', 'big', 'costs', 'replay'];
    const first = await bench('first', [...works, '--replayed', '20', '--entries', '1000']);

    expect(first.report.series.filter(({ failed }) => failed > 0)).toEqual([]);
    expect(first.report.series.filter(({ rate }) => !(rate.median > 0))).toEqual([]);
    expect(workAndSide(first.report)).toEqual(
      expect.arrayContaining([
        'reads: timestamp.json: scrivener',
        'reads: timestamp.json: node:https',
        'reads: the four reads of a pull: scrivener',
        'publish: c2, 10 targets: scrivener',
        'init: c2: scrivener',
        'mixed: 98 % pull reads, 2 % publishes, c16: scrivener',
        'replay: events of 20 collections, projected: scrivener',
        'limits: one-row commits, 1 at a time: Postgres',
        'limits: job round trips, 1 at a time: BullMQ',
      ]),
    );
    const figures = new Map(first.report.figures.map(({ name, value }) => [name, value]));
    expect(figures.get('event loop delay p99')).toBeGreaterThanOrEqual(0);
    expect(figures.get('a publish, 1 at a time: flushes of it')).toBeGreaterThan(0);
    expect(figures.get('a publish, 1 at a time: Redis commands')).toBeGreaterThan(0);
    expect(first.table).toContain('reads: timestamp.json: per second, to node:https');
    const publish = first.report.series.find(({ bench }) => bench === 'publish');
    expect(Object.keys(publish?.programs ?? {})).toEqual(
      expect.arrayContaining(['api', 'signer-worker', 'projector', 'postgres', 'redis', 'client']),
    );
    expect(publish?.programs['api']?.cpu.median).toBeGreaterThan(0);
  });

  test(
    'measures at several sizes, in databases that it has filled',
    { timeout: LIMIT },
    async () => {
      const { report } = await bench('flat', ['flat', '--guns', '30', '--versions', '3']);

      expect(report.series.filter(({ failed }) => failed > 0)).toEqual([]);
      expect(workAndSide(report)).toEqual(
        expect.arrayContaining([
          'flat: pull reads of all collections, evenly: 30 collections',
          'flat: publish c16: 30 collections',
          'flat: publish c16, by age: collections with 3 versions',
        ]),
      );
    },
  );

  describe('with --url', () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await startCluster();
    }, LIMIT);
    afterAll(() => cluster?.stop());

    test('measures a server that runs already', { timeout: LIMIT }, async () => {
      const [url] = cluster.urls;
      const pid = `api=${cluster.processes.api[0]?.pid}`;

      const { report } = await bench('url', ['publish', '--url', url, '--pid', pid]);

      expect(report.series.filter(({ failed }) => failed > 0)).toEqual([]);
      const publish = report.series.find(({ side }) => side === 'the server');
      expect(publish?.programs['api']?.memory.median).toBeGreaterThan(0);
      expect(workAndSide(report)).toContain('publish: c2, 10 targets: the server');
    });
  });
});
