import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emptyRepository, type EventStore, type Repository } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { gunOf, keyidOf, storyteller } from '@scrivener/events/testing';
import type { ReadModel } from '@scrivener/read-model';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

describe('the projector as a process', () => {
  let database: TestDatabase;
  let events: EventStore;
  let readModel: ReadModel;
  let started: ChildProcess[];
  beforeEach(async () => {
    started = [];
    database = await testDatabase();
    events = await postgresEventStore(database.url);
    readModel = await postgresReadModel(database.url);
  });
  afterEach(async () => {
    for (const child of started) child.kill('SIGKILL');
    await readModel.close();
    await events.close();
    await database.drop();
  });

  const start = (program: string, args: readonly string[] = [], url = database.url) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, program), ...args], {
      env: {
        ...process.env,
        NOTARY_SERVER_STORAGE_DB_URL: url,
        NOTARY_SERVER_LOGGING_LEVEL: 'info',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started.push(child);
    const output = { text: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output.text += chunk.toString()));
    }
    const ended = once(child, 'exit').then(([code]) => code as number | null);
    return { child, output, ended };
  };
  const auditPrints = async (...words: readonly string[]) => {
    const { output, ended } = start('audit.ts', ['--json', ...words]);
    expect(await ended).toBe(0);
    const lines = output.text
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    return lines.map((line): unknown => JSON.parse(line));
  };
  const replayIntoSchema = async (until: string) => {
    const replay = start('replay.ts', ['--into', 'schema:past', '--until', until]);
    return { status: await replay.ended, text: replay.output.text };
  };
  const pastVersions = () =>
    database.query(`select version::int from past.metafiles where role = 'targets' order by 1`);
  const projecting = async () => {
    const projector = start('main.ts');
    await vi.waitFor(() => expect(projector.output.text).toContain('projecting'), {
      timeout: 20_000,
    });
    return projector;
  };
  /** Publishes and waits until it is projected; fails when that takes longer than 5 s. */
  const publishAndSee = async (repository: Repository): Promise<Repository> => {
    const told = await storyteller(events).publish(repository);
    expect(await readModel.reached(told.recorded.position, 5_000)).toBe(true);
    return told.repository;
  };
  const changeIds = async () =>
    (await readModel.changes({ changeId: 0, records: 100_000 })).map(({ id }) => id);

  test('projects at once, and exits 0 on SIGTERM', async () => {
    const projector = await projecting();
    await publishAndSee(emptyRepository(gunOf('a/b')));

    projector.child.kill('SIGTERM');

    expect(await projector.ended).toBe(0);
    expect((await readModel.current(gunOf('a/b'), 'targets'))?.version).toBe(1n);
  });

  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'of two, one goes on within seconds when the other meets a %s at work, and nothing is there twice',
    async (signal) => {
      let repository = emptyRepository(gunOf('a/b'));
      const tell = storyteller(events);
      const two = [await projecting(), await projecting()];
      for (const victim of two) {
        const survivor = signal === 'SIGKILL' ? await projecting() : undefined;
        for (let n = 0; n < 150; n += 1) {
          ({ repository } = await tell.publish(repository));
          if (n === 75) victim.child.kill(signal);
        }
        repository = await publishAndSee(repository);
        if (survivor === undefined) victim.child.kill('SIGCONT');
      }
      repository = await publishAndSee(repository);

      const { version } = repository.head;
      expect(await changeIds()).toEqual(Array.from({ length: version }, (_, n) => n + 1));
      expect((await readModel.current(repository.head.gun, 'targets'))?.version).toBe(
        BigInt(version),
      );
    },
  );

  test('waits for a database that is not there yet, and stops all the same', async () => {
    const projector = start('main.ts', [], 'postgres://nobody@127.0.0.1:1/none');
    await vi.waitFor(
      () =>
        expect(projector.output.text).toContain('waiting for the database: connect ECONNREFUSED'),
      { timeout: 20_000 },
    );

    projector.child.kill('SIGTERM');

    expect(await projector.ended).toBe(0);
  });

  test('goes on after its connections were cut', async () => {
    await projecting();
    const repository = await publishAndSee(emptyRepository(gunOf('a/b')));
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`,
    );

    const after = await vi.waitFor(() => publishAndSee(repository), { timeout: 10_000 });
    expect(after.head.version).toBe(2);
  });

  test('replay says how much it projected', async () => {
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    const replay = start('replay.ts');

    expect(await replay.ended).toBe(0);
    expect(replay.output.text).toMatch(/^projected 1 events from the start in \d+\.\d s\n$/m);
    expect(await changeIds()).toEqual([1]);
  });

  test('rebuild makes a new generation live, and the former one again', async () => {
    await projecting();
    const repository = await publishAndSee(emptyRepository(gunOf('a/b')));
    const rebuild = start('rebuild.ts');
    expect(await rebuild.ended).toBe(0);
    expect(rebuild.output.text).toMatch(/generation 2 is live, from position 1 on\n$/);

    await publishAndSee(repository);
    await vi.waitFor(
      async () => {
        const status = start('rebuild.ts', ['--status', '--json']);
        expect(await status.ended).toBe(0);
        expect(JSON.parse(status.output.text)).toMatchObject({
          generation: 2,
          checkpoint: 2,
          other: { state: 'kept', generation: 1, checkpoint: 2 },
        });
      },
      { timeout: 20_000 },
    );
    const back = start('rebuild.ts', ['--back', '--json']);
    expect(await back.ended).toBe(0);
    expect(JSON.parse(back.output.text)).toEqual({ result: 'live', generation: 1, position: 2 });
    expect(await changeIds()).toEqual([1, 2]);
  });

  test('rebuild shows differences and changes nothing, until they are approved', async () => {
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    await readModel.project();
    await database.query(`update changefeed set version = 7`);
    const folder = await mkdtemp(join(tmpdir(), 'rebuild-'));
    const file = join(folder, 'differences');

    const rebuild = start('rebuild.ts', ['--differences', file]);
    expect(await rebuild.ended).toBe(1);
    expect(rebuild.output.text).toMatch(/nothing has changed: 1 differences are not approved\n$/);
    const difference: unknown = JSON.parse(await readFile(file, 'utf8'));
    expect(difference).toMatchObject({ table: 'changefeed', gun: 'a/b' });
    expect((await readModel.changes({ changeId: 0, records: 1 }))[0]?.version).toBe(7n);

    const approved = start('rebuild.ts', ['--approve', file]);
    expect(await approved.ended).toBe(0);
    expect((await readModel.changes({ changeId: 0, records: 1 }))[0]?.version).toBe(1n);
    await rm(folder, { recursive: true });
  });

  test.each([
    [['--back'], 1, 'there is no former generation'],
    [['--back', '--from-start'], 2, 'do not go together'],
    [['--approve', '/nowhere/at/all'], 2, '--approve /nowhere/at/all: ENOENT'],
    [['x'], 2, 'usage: rebuild'],
  ])('rebuild %j exits %i and says why', async (args, status, reason) => {
    const rebuild = start('rebuild.ts', args);

    expect(await rebuild.ended).toBe(status);
    expect(rebuild.output.text).toContain(reason);
  });

  test('replay writes what was current at a moment into a directory', async () => {
    const tell = storyteller(events);
    const { repository, metafiles } = await tell.publish(emptyRepository(gunOf('a/b')));
    await tell.publish(repository);
    const directory = await mkdtemp(join(tmpdir(), 'replay-'));
    const replay = start('replay.ts', ['--into', directory, '--until', '1']);

    expect(await replay.ended).toBe(0);
    expect(replay.output.text).toBe(`${directory} is what the log was at position 1\n`);
    const file = await readFile(join(directory, 'v2/a/b/_trust/tuf/targets.json'));
    expect(file).toEqual(
      Buffer.from(metafiles.find(({ role }) => role === 'targets')?.bytes ?? []),
    );
    await rm(directory, { recursive: true });
  });

  test('replay writes what was current at a moment into a schema, forward and never back', async () => {
    const tell = storyteller(events, () => new Date().toISOString());
    const { repository } = await tell.publish(emptyRepository(gunOf('a/b')));
    const { recorded } = await tell.publish(repository);
    expect(await replayIntoSchema('1')).toEqual({
      status: 0,
      text: 'past is what the log was at position 1\n',
    });
    expect(await pastVersions()).toEqual([{ version: 1 }]);
    expect((await replayIntoSchema(recorded.event.at)).status).toBe(0);
    expect(await pastVersions()).toEqual([{ version: 1 }, { version: 2 }]);
    expect(await replayIntoSchema('1')).toMatchObject({
      status: 2,
      text: expect.stringContaining('past is at position 2 already, beyond 1'),
    });
    expect(await readModel.checkpoint()).toBe(0);
  });

  test('audit prints a history, and exits 1 when somebody changed it', async () => {
    const { repository } = await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    await storyteller(events).publish(repository);
    const whole = start('audit.ts', ['a/b']);
    expect(await whole.ended).toBe(0);
    expect(whole.output.text).toMatch(/ 2 .* UpdatePublished\n +targets 2 .*\n +snapshot 2 .*\n/);
    expect(whole.output.text).toContain('2 events, every hash follows from the one before');

    await database.query(`update events set at = at + interval '1 ms' where position = 1`);

    const changed = start('audit.ts', ['a/b', '--kind', 'KeyCreated']);
    expect(await changed.ended).toBe(1);
    expect(changed.output.text).toContain('does not follow');
  });

  test('audit of all repositories as lines of JSON, filtered, for others to read', async () => {
    const tell = storyteller(events);
    for (const name of ['a/b', 'c/d']) {
      const { repository } = await tell.makeKey(emptyRepository(gunOf(name)));
      await tell.publish(repository);
    }
    expect(await auditPrints()).toMatchObject([1, 2, 3, 4].map((position) => ({ position })));
    expect(await auditPrints('--since', '3', '--role', 'targets')).toMatchObject([
      { position: 4, gun: 'c/d', type: 'UpdatePublished' },
    ]);
    expect(await auditPrints('--key', keyidOf('timestamp 0').slice(0, 7), 'a/b')).toMatchObject([
      { position: 1, key: { keyid: keyidOf('timestamp 0'), role: 'timestamp' } },
    ]);
    expect(await auditPrints('--until', '2026-11-22T00:00:02Z')).toHaveLength(2);
  });

  test('audit --follow goes on with what is appended, until it is interrupted', async () => {
    const { repository } = await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    const followed = start('audit.ts', ['a/b', '--json', '--follow']);
    const seen = () => [...followed.output.text.matchAll(/"position":(\d+)/g)].map(([, at]) => at);
    await expect.poll(seen, { timeout: 20_000 }).toEqual(['1']);

    await storyteller(events).publish(repository);

    await expect.poll(seen, { timeout: 20_000 }).toEqual(['1', '2']);
    followed.child.kill('SIGINT');
    expect(await followed.ended).toBe(0);
  });

  test('undelete takes a deletion back, also where no projector runs', async () => {
    const tell = storyteller(events, () => new Date().toISOString());
    const { repository } = await tell.publish(emptyRepository(gunOf('a/b')));
    await tell.remove(repository);
    const undeleted = start('undelete.ts', ['a/b', '--by', 'olive', '--reason', 'a slip']);

    expect(await undeleted.ended).toBe(0);
    expect(undeleted.output.text).toBe('a/b is restored, at position 3\nand served\n');
    expect((await readModel.current(gunOf('a/b'), 'targets'))?.version).toBe(1n);
    const [, , restored] = await events.readStream(gunOf('a/b'), 0);
    expect(restored?.event.cause).toEqual({ operator: 'olive', reason: 'a slip' });
    const again = start('undelete.ts', ['a/b']);
    expect(await again.ended).toBe(1);
    expect(again.output.text).toBe(
      'a/b is not deleted: what is current was begun in version 1 of its log\n',
    );
  });

  test('undelete refuses what was deleted before its window', async () => {
    const tell = storyteller(events, () => new Date(Date.now() - 31 * 86_400_000).toISOString());
    const { repository } = await tell.publish(emptyRepository(gunOf('a/b')));
    await tell.remove(repository);
    const refused = start('undelete.ts', ['a/b']);

    expect(await refused.ended).toBe(1);
    expect(refused.output.text).toContain('too long ago');
    expect(await events.lastPosition()).toBe(2);
  });

  test('history draws a repository', async () => {
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));
    const drawn = start('picture.ts', ['a/b', '--svg', '-']);

    expect(await drawn.ended).toBe(0);
    expect(drawn.output.text).toMatch(/^<svg .*<\/svg>\n$/s);
  });

  test.each([
    ['picture.ts', ['a/b'], 2, 'name a file with --svg'],
    ['picture.ts', ['a/b', '--png', 'x'], 2, 'usage: history'],
    ['picture.ts', ['a/b', '--svg', '-'], 2, 'the log has no events of a/b'],
    ['audit.ts', ['a/b', 'c/d'], 2, 'usage: audit'],
    ['audit.ts', ['a/b'], 2, 'the log has no events of a/b'],
    ['audit.ts', ['--since', 'noon'], 2, '--since takes a position of the log or an RFC 3339 time'],
    ['audit.ts', ['--kind', 'Update'], 2, '--kind does not take "Update"'],
    ['audit.ts', ['--role', 'a'], 2, '--role does not take "a"'],
    ['audit.ts', ['--key', 'abc'], 2, '--key does not take "abc"'],
    ['undelete.ts', [], 2, 'usage: undelete'],
    ['undelete.ts', ['a/b', '--by', ''], 2, '--by wants a name'],
    ['undelete.ts', ['a/b'], 1, 'the log has no events of a/b'],
    ['replay.ts', ['--until', '1'], 2, '--until needs a place'],
    ['replay.ts', ['--into', 'past'], 2, 'say ./past or schema:past'],
    ['replay.ts', ['--into', 'schema:public'], 2, 'public is where the log and what is live lie'],
    ['replay.ts', ['--into', './nowhere', '--until', 'noon'], 2, 'RFC 3339'],
    ['replay.ts', ['--into', './nowhere', '--until', '1'], 2, 'the log ends at position 0'],
    ['main.ts', ['--fast'], 2, 'usage: projector'],
    [
      'main.ts',
      ['-config', 'nowhere.json'],
      1,
      'could not read config at :nowhere.json, viper error: open : no such file or directory',
    ],
  ])('%s with %j exits %i', async (program, args, code, message) => {
    const failed = start(program, args);

    expect(await failed.ended).toBe(code);
    expect(failed.output.text).toContain(message);
  });
});
