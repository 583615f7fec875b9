import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { lookAfter, promptly } from './connections.ts';
import { listen } from './listen.ts';

const url = process.env['DATABASE_URL'] ?? '';

/** The way to the database, on which packets may vanish: of the connections that there are, for ever. */
async function way() {
  const { port, hostname } = new URL(url);
  const lost = new Set<Socket>();
  const alive = new Set<Socket>();
  let accepted = 0;
  const server = createServer((client) => {
    accepted += 1;
    alive.add(client);
    const there = connect(Number(port), hostname);
    client.on('error', () => {}).on('close', () => there.destroy());
    there.on('error', () => {}).on('close', () => lost.has(client) || client.destroy());
    client.on('data', (chunk) => lost.has(client) || there.write(chunk));
    there.on('data', (chunk) => lost.has(client) || client.write(chunk));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const client of alive) client.destroy();
  });
  const target = new URL(url);
  target.hostname = '127.0.0.1';
  target.port = String((server.address() as AddressInfo).port);
  return {
    url: target.href,
    accepted: () => accepted,
    lose: () => {
      for (const client of alive) lost.add(client);
    },
  };
}

test('a server that says nothing to who connects is given up within a second', async () => {
  const silent = createServer((socket) => void socket.on('error', () => {}).resume());
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const started = performance.now();
  const client = new Client({
    connectionString: `postgres://postgres@127.0.0.1:${port}/none`,
    ...promptly,
  });
  client.on('error', () => {});

  await expect(client.connect()).rejects.toThrow('timeout expired');
  expect(performance.now() - started).toBeGreaterThan(700);
  silent.close();
});

test('connections of a pool that nobody uses are replaced when they are dead', async () => {
  const { url: through, accepted, lose } = await way();
  const pool = new Pool({ connectionString: through, max: 3, ...promptly });
  pool.on('error', () => {});
  onTestFinished(() => pool.end());
  lookAfter(pool);
  const three = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
  for (const client of three) client.release();
  expect([pool.idleCount, accepted()]).toEqual([3, 3]);

  lose();
  while (pool.idleCount > 0) await sleep(50);

  expect((await pool.query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect(accepted()).toBe(4);
}, 15_000);

test('who listens on a connection that died without a word listens on another', async () => {
  const { url: through, lose } = await way();
  const heard: string[] = [];
  let connected = 0;
  const listener = await listen(through, 'of_a_test_of_connections', {
    onMessage: (payload) => heard.push(payload),
    onConnect: () => (connected += 1),
  });
  onTestFinished(() => listener.close());

  lose();
  await expect.poll(() => connected, { timeout: 10_000 }).toBe(2);

  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`select pg_notify('of_a_test_of_connections', 'anew')`);
  await client.end();
  while (heard.length === 0) await sleep(20);
  expect(heard).toEqual(['anew']);
}, 15_000);
