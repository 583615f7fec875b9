// Nothing is left but a dump of the log. Restored into an empty database, it has to give the answers
// that were given before, byte for byte. Pictures are left out, for there is a line for "now" in them.

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fsck } from '../apps/projector/src/fsck/fsck.ts';
import { startCluster, type Cluster, type Process } from './cluster.ts';
import { addTarget, createCollection, type Collection } from './collection.ts';
import { exchange, getFile, postUpdate, type Answer } from './tuf-http.ts';

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

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Every path that ever had an answer, and a few that never had one. */
async function pathsOf(url: string): Promise<readonly string[]> {
  return withClient(url, async (client) => {
    const { rows: files } = await client.query<Record<'gun' | 'role' | 'version' | 'sha', string>>(
      `select gun, ref ->> 'role' as role, ref ->> 'version' as version, ref ->> 'sha256' as sha
       from events, json_array_elements(data -> 'metafiles') as ref
       where type in ('UpdatePublished', 'RoleRenewed') order by position`,
    );
    const { rows: last } = await client.query<{ position: string }>(
      'select position from log_head',
    );
    const { rows: alive } = await client.query<{ gun: string }>(
      `select gun from events group by gun having not bool_or(type = 'RepositoryDeleted')`,
    );
    const guns = [...new Set(files.map(({ gun }) => gun))];
    const end = Number(last[0]?.position);
    const past = '/_notary_server/v1';
    return [
      ...files.flatMap(({ gun, role, version, sha }) => {
        const below = `/v2/${gun}/_trust/tuf/`;
        return [`${role}.json`, `${version}.${role}.json`, `${role}.${sha}.json`].map(
          (file) => below + file,
        );
      }),
      ...guns.flatMap((gun) => [
        `/v2/${gun}/_trust/tuf/targets/nobody.json`,
        `/v2/${gun}/_trust/tuf/999.root.json`,
        `/v2/${gun}/_trust/changefeed`,
        `${past}/guns/${gun}/diff?from=0&to=${end}`,
        ...Array.from({ length: end }, (_, n) => `${past}/guns/${gun}/at/${n + 1}/timestamp.json`),
      ]),
      // where nothing is published, this is no read: a key is made
      ...alive.flatMap(({ gun }) =>
        ['timestamp', 'snapshot'].map((role) => `/v2/${gun}/_trust/tuf/${role}.key`),
      ),
      '/v2/nobody/has/this/_trust/tuf/root.json',
      '/v2/_trust/changefeed?records=1000',
      '/v2/_trust/changefeed?records=-1000',
      '/v2/_trust/changefeed?change_id=2&records=3',
      `${past}/events?limit=1000`,
      `${past}/expiring`,
    ];
  });
}

/** What a client sees of an answer, but for the clock of the server. */
function seen({ status, headers, body }: Answer) {
  const { date: _, ...lasting } = headers;
  return { status, headers: lasting, body: body.toString('latin1') };
}

async function answersTo(url: string, paths: readonly string[]) {
  const answers: Record<string, ReturnType<typeof seen>> = {};
  for (const path of paths) answers[path] = seen(await exchange('GET', url + path));
  return answers;
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
    paths = await pathsOf(before.databaseUrl);
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
    const statuses = Map.groupBy(Object.values(answers), ({ status }) => status);
    const count = (status: number) => statuses.get(status)?.length ?? 0;

    expect(count(200)).toBeGreaterThan(50);
    expect(count(404)).toBeGreaterThan(10);
    expect(count(503)).toBe(0);
  });

  test('serves byte for byte the same answers, headers among them', async () => {
    const restored = await answersTo(after.urls[0], paths);

    for (const path of paths)
      expect({ path, ...restored[path] }).toEqual({ path, ...answers[path] });
  });

  test('is found whole by fsck, with the head that the log had before', async () => {
    const { head } = await check(before);

    expect(await check(after)).toMatchObject({ head, findings: [], unprojected: 0 });
  });
});
