import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emptyRepository } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fsck } from './fsck/fsck.ts';
import { runScheduledFsck, type Outcome } from './fsck/scheduled.ts';

const kindsOf = (outcome?: Outcome) => outcome?.findings.map(({ kind }) => kind);

describe('fsck as a process', () => {
  let database: TestDatabase;
  let folder: string;
  beforeEach(async () => {
    database = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'fsck-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
    await database.drop();
  });

  const run = (args: readonly string[], url = database.url) =>
    new Promise<{ code: unknown; output: string }>((resolve) => {
      const env = { ...process.env, NOTARY_SERVER_STORAGE_DB_URL: url };
      const words = [join(import.meta.dirname, 'fsck.ts'), ...args];
      execFile(process.execPath, words, { env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : error.code, output: stdout + stderr });
      });
    });
  /** Events whose files are no TUF at all. */
  const publish = async () => {
    const events = await postgresEventStore(database.url);
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    await events.close();
  };

  test('exits 0 and prints the head where nothing is wrong', async () => {
    const { code, output } = await run([]);

    expect(output).toMatch(/nothing is wrong\nhead 0:0{64}\n$/);
    expect(code).toBe(0);
  });

  test('exits 1 and names what is wrong, for people and as JSON', async () => {
    await publish();
    const json = join(folder, 'report.json');

    const { code, output } = await run(['--json', json, '--quiet']);

    expect(output).toContain('file: position 1, "a/b", version 1, targets: ');
    expect(JSON.parse(await readFile(json, 'utf8'))).toMatchObject({
      head: { position: 1 },
      events: 1,
      unprojected: 1,
      findings: expect.arrayContaining([expect.objectContaining({ kind: 'file', gun: 'a/b' })]),
    });
    expect(code).toBe(1);
  });

  test('holds the log against a head that was recorded', async () => {
    await publish();
    const json = join(folder, 'report.json');
    await run(['--json', json]);
    const as = async (args: readonly string[]) => (await run(args)).output;

    expect(await as(['--expect', json])).not.toContain('recorded-head');
    expect(await as(['--head', `1:${'a'.repeat(64)}`])).toContain(
      'recorded-head: position 1: up to here the log is not what was recorded',
    );
    expect(await as(['--head', `7:${'a'.repeat(64)}`])).toContain('the log ends at position 1');
  });

  test.each([
    [['--threads', '0'], undefined, '--threads wants a number from 1 to 256'],
    [['--head', 'abc'], undefined, '--head abc names no head of a log'],
    [['--fast'], undefined, 'usage: fsck'],
    [[], 'postgres://nobody@127.0.0.1:1/none', 'fsck: connect ECONNREFUSED'],
  ])('%j exits 2', async (args, url, message) => {
    const { code, output } = await run(args, url);

    expect(output).toContain(message);
    expect(code).toBe(2);
  });

  test('goes on where a run that was killed had got, with what that had found', async () => {
    await publish();
    const stateFile = join(folder, 'state.json');
    const finding = { kind: 'chain', reason: 'found before' };
    const counts = { events: 7, files: 8, repositories: 9, unprojected: 0 };
    const head = { position: 7, digest: 'b'.repeat(64) };
    const state = { format: 1, head, after: 'ff'.repeat(32), ...counts, findings: [finding] };
    await writeFile(stateFile, JSON.stringify(state));

    const report = await fsck({ url: database.url, threads: 1, expected: [], stateFile });

    expect(report).toMatchObject({ ...counts, head, findings: [finding] });
    await expect(readFile(stateFile)).rejects.toThrow('ENOENT');
  });

  test('runs on a schedule, each run against the head of the one before', async () => {
    await publish();
    const stop = new AbortController();
    const outcomes: Outcome[] = [];
    const errors: unknown[] = [];
    await runScheduledFsck({
      databaseUrl: database.url,
      first: 1,
      every: 1_000,
      signal: stop.signal,
      onOutcome: (outcome) => {
        outcomes.push(outcome);
        if (outcomes.length === 2) stop.abort();
        else void database.query('update events set hash = sha256(hash)');
      },
      onError: (error) => errors.push(error),
    });

    expect(errors).toEqual([]);
    expect(outcomes[0]).toMatchObject({ events: 1, head: { position: 1 } });
    expect(kindsOf(outcomes[0])).not.toContain('recorded-head');
    expect(kindsOf(outcomes[1])).toContain('recorded-head');
  });

  test('on a schedule, a run that cannot find out is told, and another one follows', async () => {
    const stop = new AbortController();
    const errors: unknown[] = [];
    await runScheduledFsck({
      databaseUrl: 'postgres://nobody@127.0.0.1:1/none',
      first: 1,
      every: 1,
      signal: stop.signal,
      onOutcome: () => stop.abort(),
      onError: (error) => {
        errors.push(error);
        if (errors.length === 2) stop.abort();
      },
    });

    expect(String(errors[0])).toContain('fsck ended with 2: fsck: connect ECONNREFUSED');
    expect(errors).toHaveLength(2);
  });
});
