// Nothing is left but a dump of the log. Restored into an empty database, it has to give the answers
// that were given before, byte for byte. Pictures are left out, for there is a line for "now" in them.

import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fsck } from '../apps/projector/src/fsck/fsck.ts';
import { ROOT } from '../scripts/places.ts';
import { answersTo, PATHS_OF_ALL, pathsOf, withClient } from './answers.ts';
import { startCluster, type Cluster, type Process } from './cluster.ts';
import { addTarget, createCollection, type Collection } from './collection.ts';
import { findDebianProgram } from './debian-program.ts';
import { exchange, getFile, postUpdate } from './tuf-http.ts';

/** Two stacks are started, one after the other. */
const LIMIT = 120_000;

/** Runs one of `docs/examples` as its first lines and docs/databases.md say, with Debian's psql. */
async function psql(url: string, file: string, folder: string): Promise<void> {
  const { command, env } = await findDebianProgram({
    name: 'psql',
    folder: 'lib/postgresql/15/bin',
    packages: ['postgresql-client-15'],
  });
  const path = join(ROOT, 'docs/examples', file);
  const said = `--   psql "$X" (.*) --file ${file}`.replace('$X', String.raw`\$(?:FROM|TO)`);
  const [, flags] = new RegExp(`^${said}$`, 'm').exec(readFileSync(path, 'utf8')) ?? [];
  if (flags === undefined) throw new Error(`${file} does not say how to run it`);
  if (!readFileSync(join(ROOT, 'docs/databases.md'), 'utf8').includes(flags)) {
    throw new Error(`docs/databases.md says something else than ${file}`);
  }
  const words = [url, ...flags.split(' '), '--file', path];
  await promisify(execFile)(command, words, { cwd: folder, env });
}

/** One of the projector's commands, as the owner of the database. */
async function command(program: string, url: string, ...words: readonly string[]) {
  const path = join(ROOT, 'apps/projector/src', program);
  const env = { ...process.env, NOTARY_SERVER_STORAGE_DB_URL: url };
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...words], { env });
  return stdout;
}

/** All rows of the read model in a schema, where no generation but the first was ever live. */
async function rowsIn(url: string, schema: string): Promise<unknown> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `select 'metafiles' as name, to_jsonb(row) - 'slot' as row from ${schema}.metafiles as row
       union all select 'changefeed', to_jsonb(row) - 'slot' from ${schema}.changefeed as row
       union all select 'expiries', to_jsonb(row) - 'slot' from ${schema}.expiries as row
       order by 1, 2`,
    );
    return rows;
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
  const folder = mkdtempSync(join(tmpdir(), 'dump-'));
  const past = join(folder, 'past');
  const told: string[] = [];
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
    await psql(before.databaseUrl, 'dump-log.sql', folder);
    await psql(after.databaseUrl, 'restore-log.sql', folder);
    told.push(
      await command('replay.ts', after.databaseUrl, '--into', 'schema:past'),
      await command('replay.ts', after.databaseUrl, '--into', past),
      await command('fsck.ts', after.databaseUrl, '--quiet'),
    );
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
    rmSync(folder, { recursive: true, force: true });
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

  test('is replayed and verified before anything was projected', async () => {
    const [schema, directory, verdict] = told;
    expect(schema).toMatch(/^past is what the log was at position \d+\n$/);
    expect(directory).toContain('is what the log was at position');
    expect(verdict).toContain('nothing is wrong');
    const rows = await rowsIn(after.databaseUrl, 'past');
    expect(rows).toEqual(await rowsIn(before.databaseUrl, 'public'));
    const served = [...answers].filter(
      ([path, { status }]) => /tuf\/.*json$/.test(path) && status === 200,
    );
    const files = readdirSync(past, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== '.replay.json')
      .map((entry) => join(entry.parentPath, entry.name));
    const wire = served.filter(([path]) => path.startsWith('/v2/'));
    for (const [path, { body }] of wire) {
      expect(readFileSync(past + path, 'latin1')).toBe(body);
    }
    expect(files).toHaveLength(new Set(wire.map(([path]) => path)).size);
  });

  test('cannot be put where a log is already', async () => {
    await expect(psql(after.databaseUrl, 'restore-log.sql', folder)).rejects.toThrow(
      'duplicate key',
    );
  });

  test('is found whole by fsck, with the head that the log had before', async () => {
    const { head } = await check(before);

    expect(await check(after)).toMatchObject({ head, findings: [], unprojected: 0 });
  });
});
