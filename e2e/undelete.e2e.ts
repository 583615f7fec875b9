// A repository is deleted by mistake, and an operator takes that back. Its past is served as files.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseGun, type Gun } from '@scrivener/tuf';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../scripts/places.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { createNotaryUser, type NotaryUser } from './notary-client.ts';
import { startStaticServer, type Proxy } from './proxy.ts';
import { exchange, getFile } from './tuf-http.ts';

/** nginx may have to be fetched first. */
const LIMIT = 180_000;
const gun = gunOf('example.com/team/app');
const at = (index: number) => cluster.urls[index] ?? cluster.urls[0];

let cluster: Cluster;
let owner: NotaryUser;
let files: string;
const users: NotaryUser[] = [];
let server: Proxy | undefined;

beforeAll(async () => {
  cluster = await startCluster({ apis: 2 });
  owner = newUser(cluster.urls[0]);
  files = mkdtempSync(join(tmpdir(), 'past-'));
}, LIMIT);

afterAll(async () => {
  await server?.stop();
  for (const user of users) user.remove();
  await cluster?.stop();
  rmSync(files, { recursive: true });
}, LIMIT);

function gunOf(text: string): Gun {
  const parsed = parseGun(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

function newUser(url: string): NotaryUser {
  const user = createNotaryUser(url, cluster.caFile);
  users.push(user);
  return user;
}

/** One of the projector's commands. */
function command(program: string, args: readonly string[], config = cluster.configFile) {
  return new Promise<{ code: unknown; output: string }>((resolve) => {
    const words = [join(ROOT, 'apps/projector/src', program), '-config', config, ...args];
    execFile(process.execPath, words, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, output: stdout + stderr });
    });
  });
}

const undelete = (...args: readonly string[]) =>
  command('undelete.ts', [gun, ...args], cluster.apiConfigFile);

async function publish(tag: string): Promise<void> {
  writeFileSync(join(owner.directory, tag), tag);
  await owner.run('add', '-p', gun, tag, tag);
}

/** In the order of the client, which sorts them. */
const tagsIn = (output: string) => [...output.matchAll(/^(v\d)\s/gm)].map(([, tag]) => tag);
const statusOf = async (url: string, name: string) => (await getFile(url, gun, name)).status;

test(
  'a collection that its owner deleted is served again as it was, and goes on',
  async () => {
    await owner.run('init', '-p', gun);
    await publish('v1');
    await owner.run('key', 'rotate', gun, 'snapshot', '-r');
    await publish('v2');
    const names = ['root.json', '1.root.json', '2.root.json', '2.targets.json', 'timestamp.json'];
    const everything = () =>
      Promise.all(
        cluster.urls.flatMap((url) =>
          names.map(async (name) => (await getFile(url, gun, name)).body),
        ),
      );
    const before = await everything();
    expect((await undelete()).output).toContain('is not deleted');

    await owner.run('delete', gun, '--remote');
    for (const url of cluster.urls) expect(await statusOf(url, 'root.json')).toBe(404);

    expect(await command('undelete.ts', [gun])).toEqual({
      code: 1,
      output: expect.stringContaining('undelete needs the login of an API'),
    });
    expect(await undelete('--reason', 'the wrong script', '--by', 'olive')).toEqual({
      code: 0,
      output: expect.stringMatching(/is restored, at position \d+\nand served\n$/),
    });
    expect(await everything()).toEqual(before);
    for (const url of cluster.urls) {
      expect(tagsIn(await newUser(url).run('list', gun))).toEqual(['v1', 'v2']);
    }

    const again = newUser(at(1));
    await again.run('list', gun);
    // deletion removed the owner's local copy, not their keys
    await publish('v3');
    expect(tagsIn(await again.run('list', gun))).toEqual(['v1', 'v2', 'v3']);
    expect((await undelete()).code).toBe(1);
  },
  LIMIT,
);

test(
  'it is told by audit, events and changefeed, and nothing is wrong with the log',
  async () => {
    const { body } = await exchange(
      'GET',
      `${cluster.urls[0]}/_notary_server/v1/events?gun=${encodeURIComponent(gun)}&limit=1000`,
    );
    const { events } = JSON.parse(body.toString()) as {
      readonly events: readonly { readonly type: string; readonly cause: object }[];
    };
    expect(events.find(({ type }) => type === 'RepositoryRestored')?.cause).toEqual({
      operator: 'olive',
      reason: 'the wrong script',
    });
    const audit = await command('audit.ts', [gun]);
    expect(audit.output).toMatch(/RepositoryRestored +olive/);
    const changes = await exchange(
      'GET',
      `${cluster.urls[0]}/v2/${gun}/_trust/changefeed?records=100`,
    );
    const { records } = JSON.parse(changes.body.toString()) as {
      readonly records: readonly { readonly Category: string }[];
    };
    expect(records.map(({ Category }) => Category).slice(-3)).toEqual([
      'deletion',
      'update',
      'update',
    ]);
    const fsck = await command('fsck.ts', ['--quiet']);
    expect(fsck).toEqual({ code: 0, output: expect.stringContaining('nothing is wrong') });
  },
  LIMIT,
);

test(
  'what it was at any moment is read by clients from files, and cannot be changed there',
  async () => {
    const replay = await command('replay.ts', ['--into', files]);
    expect(replay.code).toBe(0);
    server = await startStaticServer(files);
    const reader = newUser(server.url);

    expect(tagsIn(await reader.run('list', gun))).toEqual(['v1', 'v2', 'v3']);
    expect((await reader.attempt('list', 'example.com/team/other')).output).toContain(
      'does not have trust data',
    );
    expect(await statusOf(server.url, '')).toBe(403); // no lists of directories
    expect((await exchange('GET', `${server.url}/.replay.json`)).status).toBe(404);
    writeFileSync(join(owner.directory, 'v4'), 'v4');
    const published = await owner.at(server.url).attempt('add', '-p', gun, 'v4', 'v4');
    expect(published.code).not.toBe(0);
    expect(tagsIn(await newUser(server.url).run('list', gun))).toEqual(['v1', 'v2', 'v3']);
  },
  LIMIT,
);

test(
  'what is restored is renewed when its time has come',
  async () => {
    await owner.run('delete', gun, '--remote');
    const database = new Client({ connectionString: cluster.databaseUrl });
    await database.connect();
    // nothing is served from this table: it says when to renew
    expect((await undelete()).code).toBe(0);
    const { body } = await getFile(cluster.urls[0], gun, 'timestamp.json');
    await database.query(
      `update expiries set expires_at = now() - interval '1 hour'
     where role = 'timestamp' and gun = $1`,
      [gun],
    );
    await database.end();

    await expect
      .poll(async () => (await getFile(at(1), gun, 'timestamp.json')).body.equals(body), {
        timeout: 60_000,
        interval: 500,
      })
      .toBe(false);
  },
  LIMIT,
);
