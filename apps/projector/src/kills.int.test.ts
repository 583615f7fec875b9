// What `kill -9` leaves of a command, and what the same command makes of that.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { emptyRepository, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const REPOSITORIES = 300;
const EVENTS = 3 * REPOSITORIES;

async function filesOf(directory: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path.slice(directory.length), await readFile(path, 'latin1')] as const;
  });
  return new Map(await Promise.all(read));
}

async function readJson(file: string): Promise<object> {
  return JSON.parse(await readFile(file, 'utf8')) as object;
}

describe('killed in the middle', () => {
  let database: TestDatabase;
  let events: EventStore;
  let folder: string;
  beforeAll(async () => {
    database = await testDatabase();
    events = await postgresEventStore(database.url);
    folder = await mkdtemp(join(tmpdir(), 'kills-'));
    const tell = storyteller(events);
    await Promise.all(
      Array.from({ length: REPOSITORIES }, async (_, n) => {
        let { repository } = await tell.publish(emptyRepository(gunOf(`many/${n}`)));
        ({ repository } = await tell.publish(repository));
        await tell.renew(repository);
      }),
    );
  });
  afterAll(async () => {
    await events.close();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  const start = (program: string, args: readonly string[]) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, program), ...args], {
      env: { ...process.env, NOTARY_SERVER_STORAGE_DB_URL: database.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { text: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output.text += chunk.toString()));
    }
    const ended = once(child, 'close').then(([code]) => code as number | null);
    return { child, output, ended };
  };
  const run = async (program: string, args: readonly string[]) => {
    const { output, ended } = start(program, args);
    return { code: await ended, text: output.text };
  };
  /** Whether it was killed then: it may have ended before. */
  const killWhen = async (
    isThen: () => boolean | Promise<boolean>,
    program: string,
    args: readonly string[],
  ) => {
    const { child, ended } = start(program, args);
    while (child.exitCode === null && !(await isThen())) await sleep(1);
    child.kill('SIGKILL');
    return (await ended) === null;
  };
  const positionIn = async (schema: string) => {
    const [there] = await database.query<{ is: string | null }>(
      `select to_regclass('${schema}.projections')::text as is`,
    );
    if (there?.is == null) return 0;
    const rows = await database.query<{ position: string }>(
      `select position from ${schema}.projections`,
    );
    return Number(rows[0]?.position);
  };

  const isInSchema = async () => (await positionIn('killed')) > 0;

  test('fsck goes on behind what it had checked, and finds what it would have found', async () => {
    const [state, json, whole] = ['state', 'killed.json', 'whole.json'].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    const args = ['--threads', '1', '--quiet', '--state', state, '--json', json];

    expect(await killWhen(() => existsSync(state), 'fsck.ts', args)).toBe(true);
    const left = (await readJson(state)) as { readonly events: number };
    const resumed = await run('fsck.ts', args);
    await run('fsck.ts', ['--threads', '1', '--quiet', '--json', whole]);

    expect(left.events).toBeGreaterThan(0);
    expect(left.events).toBeLessThan(EVENTS);
    expect(resumed.code).toBe(1); // its files are no TUF
    const { seconds: _, ...found } = (await readJson(json)) as { seconds: number; events: number };
    expect(found.events).toBe(EVENTS);
    expect({ ...found, seconds: expect.any(Number) }).toEqual(await readJson(whole));
    expect(existsSync(state)).toBe(false);
  });

  test('replay into a directory ends as one that was not killed', async () => {
    const [killed, whole] = [join(folder, 'killed'), join(folder, 'whole')];
    const isBegun = () => existsSync(join(killed, '.replay.json'));

    expect(await killWhen(isBegun, 'replay.ts', ['--into', killed])).toBe(true);
    const note = JSON.parse(await readFile(join(killed, '.replay.json'), 'utf8')) as {
      readonly position: number;
    };
    expect(note.position).toBeLessThan(EVENTS);
    expect((await run('replay.ts', ['--into', killed])).code).toBe(0);
    expect((await run('replay.ts', ['--into', whole])).code).toBe(0);

    const files = await filesOf(killed);
    expect(files.size).toBeGreaterThan(EVENTS);
    const drafts = [...files.keys()].filter((name) => name.endsWith('.part'));
    expect(drafts).toEqual([]);
    expect(files).toEqual(await filesOf(whole));
  });

  test('replay into a schema ends as one that was not killed', async () => {
    expect(await killWhen(isInSchema, 'replay.ts', ['--into', 'schema:killed'])).toBe(true);
    // its session ends when the server has noticed that it is gone
    await expect
      .poll(async () => (await run('replay.ts', ['--into', 'schema:killed'])).code, {
        timeout: 20_000,
      })
      .toBe(0);
    expect((await run('replay.ts', ['--into', 'schema:whole'])).code).toBe(0);

    for (const table of ['metafiles', 'changefeed', 'expiries']) {
      const rows = (schema: string) =>
        database.query(`select row::text from ${schema}.${table} as row order by 1`);
      const there = await rows('killed');
      expect(there.length).toBeGreaterThan(REPOSITORIES);
      expect(there).toEqual(await rows('whole'));
    }
  });

  test.each(['connected', 'appended'] as const)(
    'undelete that is killed when it has %s leaves the repository deleted or restored',
    async (moment) => {
      const gun = gunOf(`gone/${moment}`);
      const tell = storyteller(events, () => new Date().toISOString());
      const { repository } = await tell.publish(emptyRepository(gun));
      await tell.remove(repository);
      const types = async () => (await events.readStream(gun, 0)).map(({ event }) => event.type);
      const sessions = async () => {
        const rows = await database.query<{ pid: number }>(
          `select pid from pg_stat_activity
           where datname = current_database() and application_name = 'scrivener events'`,
        );
        return rows.map(({ pid }) => pid);
      };
      const ours = new Set(await sessions());
      const isThen = async () => {
        if (moment === 'appended') return (await types()).length > 2;
        return (await sessions()).some((pid) => !ours.has(pid));
      };

      await killWhen(isThen, 'undelete.ts', [gun, '--by', 'olive']);

      const left = await types();
      const deleted = ['UpdatePublished', 'RepositoryDeleted'];
      expect([deleted, [...deleted, 'RepositoryRestored']]).toContainEqual(left);
      const again = await run('undelete.ts', [gun, '--by', 'olive']);
      expect(again.code).toBe(left.length > 2 ? 1 : 0);
      expect(await types()).toEqual([...deleted, 'RepositoryRestored']);
      const readModel = await postgresReadModel(database.url);
      while ((await readModel.project()) === 'more');
      expect((await readModel.current(gun, 'targets'))?.version).toBe(1n);
      await readModel.close();
    },
  );
});
