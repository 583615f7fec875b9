import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { ensureDatabase } from './database.ts';
import { startPostgres, type Postgres } from './postgres.ts';
import { isAlive } from './processes.ts';

const started: Postgres[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((postgres) => postgres.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A blank in the name, because clones live in such folders too. */
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'scrivener postgres-'));
  folders.push(folder);
  chmodSync(folder, 0o755); // as root, the server runs as somebody else
  return folder;
}

async function start(folder: string): Promise<Postgres> {
  const postgres = await startPostgres({
    directory: join(folder, 'data'),
    log: join(folder, 'postgres.log'),
    durable: false,
  });
  started.push(postgres);
  return postgres;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(sql);
  await client.end();
  return rows;
}

describe('startPostgres', () => {
  test('starts PostgreSQL 18 in a new folder and keeps its data for the next start', async () => {
    const folder = newFolder();
    const first = await start(folder);
    const url = await ensureDatabase(first.url, 'kept');
    await query(url, 'create table t as select 7 as n');
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);

    const second = await start(folder);

    expect(await query(await ensureDatabase(second.url, 'kept'), 'select n from t')).toEqual([
      { n: 7 },
    ]);
    expect(await query(second.url, 'show server_version')).toEqual([
      { server_version: expect.stringMatching(/^18\./) },
    ]);
  });

  test('stops the server that a killed run left behind on the same folder', async () => {
    const folder = newFolder();
    const leftOver = await start(folder);

    const next = await start(folder);

    expect(isAlive(leftOver.pid)).toBe(false);
    expect(await query(next.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('starts again after the server was killed and a process of it lingers', async () => {
    const folder = newFolder();
    const killed = await start(folder);
    const sql = "select pid from pg_stat_activity where backend_type = 'checkpointer'";
    const [checkpointer] = (await query(killed.url, sql)) as [{ pid: number }];
    process.kill(checkpointer.pid, 'SIGSTOP');
    process.kill(killed.pid, 'SIGKILL');
    await killed.ended;
    setTimeout(() => process.kill(checkpointer.pid, 'SIGCONT'), 500);

    const next = await start(folder);

    expect(await query(next.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('has one superuser, whose password is replaced where it was lost', async () => {
    const folder = newFolder();
    const first = await start(folder);
    await first.stop();
    rmSync(join(folder, 'data-password'));

    const second = await start(folder);

    expect(new URL(second.url).password).not.toBe(new URL(first.url).password);
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    const old = new URL(second.url);
    old.password = new URL(first.url).password;
    await expect(query(old.href, 'select 1')).rejects.toThrow('password authentication failed');
  });

  test('says how the server ended', async () => {
    const postgres = await start(newFolder());

    process.kill(postgres.pid, 'SIGKILL');

    await expect(postgres.ended).resolves.toBe('SIGKILL');
  });
});
