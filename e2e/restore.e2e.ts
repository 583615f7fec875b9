// Nothing is left but a dump of the log. Restored into an empty database, it has to give the answers
// that were given before, byte for byte. Pictures are left out, for there is a line for "now" in them.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fsck } from '../apps/projector/src/fsck/fsck.ts';
import { answersTo, PATHS_OF_ALL, pathsOf, withClient } from './answers.ts';
import { startCluster, type Cluster, type Process } from './cluster.ts';
import { addTarget, createCollection, type Collection } from './collection.ts';
import { exchange, getFile, postUpdate } from './tuf-http.ts';

/** Two stacks are started, one after the other. */
const LIMIT = 120_000;
/** The tables that hold the truth (docs/production.md). */
const LOG = ['files', 'events', 'log_head'] as const;

type Dump = ReadonlyMap<(typeof LOG)[number], readonly string[]>;

/** Each row in the text form of its type, as a dump of plain SQL has them. */
async function dumpLog(url: string): Promise<Dump> {
  return withClient(url, async (client) => {
    const dump = new Map<(typeof LOG)[number], readonly string[]>();
    for (const table of LOG) {
      const { rows } = await client.query<{ line: string }>(
        `select t::text as line from ${table} t`,
      );
      dump.set(
        table,
        rows.map(({ line }) => line),
      );
    }
    return dump;
  });
}

async function restoreLog(url: string, dump: Dump): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('truncate log_head'); // migrations put a row there
    for (const [table, lines] of dump) {
      await client.query(
        `insert into ${table} select (line::${table}).* from unnest($1::text[]) as line`,
        [lines],
      );
    }
  });
}

async function endAll(processes: readonly Process[]): Promise<void> {
  for (const process of processes) process.signal('SIGTERM');
  await Promise.all(processes.map((process) => process.ended()));
}

/** Lives with all kinds of events in them. */
async function makeHistory(url: string): Promise<Collection> {
  const kept = await createCollection(url, ['targets/releases']);
  for (const name of ['a', 'b', 'c']) await addTarget(url, kept, 'targets', name);
  await addTarget(url, kept, 'targets/releases', 'd');
  kept.owner.rotate('root');
  const rotated = await postUpdate(url, kept.gun, [kept.owner.root()]);
  const key = await exchange('POST', `${url}/v2/${kept.gun}/_trust/tuf/timestamp.key`);
  const deleted = await createCollection(url);
  const gone = await exchange('DELETE', `${url}/v2/${deleted.gun}/_trust/tuf/`);
  expect([rotated.status, key.status, gone.status]).toEqual([200, 200, 200]);
  return kept;
}

const check = ({ databaseUrl }: Cluster) => fsck({ url: databaseUrl, threads: 1, expected: [] });

describe('a log that was restored into an empty database', () => {
  let before: Cluster;
  let after: Cluster;
  let collection: Collection;
  let paths: readonly string[];
  let answers: Awaited<ReturnType<typeof answersTo>>;
  beforeAll(async () => {
    before = await startCluster();
    collection = await makeHistory(before.urls[0]);
    paths = [...(await pathsOf(before.databaseUrl)), ...PATHS_OF_ALL];
    answers = await answersTo(before.urls[0], paths);

    after = await startCluster();
    const programs = [...after.processes.api, ...after.processes.projector];
    await endAll(programs);
    await restoreLog(after.databaseUrl, await dumpLog(before.databaseUrl));
    for (const process of programs) process.start();
    await after.healthy();
    await vi.waitFor(async () => {
      const { status } = await getFile(after.urls[0], collection.gun, 'timestamp.json');
      if (status !== 200) throw new Error('it is not projected yet');
    }, 60_000);
  }, LIMIT);
  afterAll(async () => {
    await after?.stop();
    await before?.stop();
  }, LIMIT);

  test('was asked for every file, by every name it has', () => {
    const statuses = Map.groupBy(answers.values(), ({ status }) => status);
    const count = (status: number) => statuses.get(status)?.length ?? 0;

    expect(count(200)).toBeGreaterThan(50);
    expect(count(404)).toBeGreaterThan(10);
    expect(count(503)).toBe(0);
  });

  test('serves byte for byte the same answers, headers among them', async () => {
    const restored = await answersTo(after.urls[0], paths);

    for (const path of paths)
      expect({ path, ...restored.get(path) }).toEqual({ path, ...answers.get(path) });
  });

  test('is found whole by fsck, with the head that the log had before', async () => {
    const { head } = await check(before);

    expect(await check(after)).toMatchObject({ head, findings: [], unprojected: 0 });
  });
});
