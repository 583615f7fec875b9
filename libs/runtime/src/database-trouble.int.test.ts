import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Client, Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { isDatabaseTrouble } from './database-trouble.ts';

const url = process.env['DATABASE_URL'] ?? '';

const failure = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
};

describe('isDatabaseTrouble', () => {
  test('knows a database that is not there', async () => {
    const client = new Client({ connectionString: 'postgres://postgres@127.0.0.1:1/none' });

    expect(isDatabaseTrouble(await failure(() => client.connect()))).toBe(true);
  });

  test('knows a session that the server ended', async () => {
    const pool = new Pool({ connectionString: url });
    pool.on('error', () => {});
    const error = await failure(() => pool.query('select pg_terminate_backend(pg_backend_pid())'));
    await pool.end();

    expect(isDatabaseTrouble(error)).toBe(true);
  });

  test('knows a statement that took too long', async () => {
    const client = new Client({ connectionString: url, query_timeout: 50 });
    await client.connect();
    const error = await failure(() => client.query('select pg_sleep(0.3)'));
    await client.end();

    expect(isDatabaseTrouble(error)).toBe(true);
  });

  test.each([
    ['says an error instead of agreeing to TLS', (socket: Socket) => void socket.end('E')],
    ['speaks no TLS, as one that starts without its certificate', (socket) => void socket.end('N')],
    ['says nothing', () => {}],
    ['hangs up', (socket) => void socket.destroy()],
  ])('knows a server that %s', async (_, answer: (socket: Socket) => void) => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).once('data', () => answer(socket));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const connectionString = `postgres://postgres@127.0.0.1:${port}/none`;
    const ssl = { rejectUnauthorized: true };
    const client = new Client({ connectionString, ssl, connectionTimeoutMillis: 200 });
    client.on('error', () => {});
    const error = await failure(() => client.connect());
    server.close();

    expect(isDatabaseTrouble(error)).toBe(true);
  });

  test('looks at the cause', async () => {
    const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });

    expect(isDatabaseTrouble(new Error('cannot read', { cause }))).toBe(true);
    expect(isDatabaseTrouble(new AggregateError([cause]))).toBe(true);
  });

  test.each([
    ['57P01', true],
    ['53100', true],
    ['25006', true],
    ['23505', false],
    ['408', false],
    ['ENOENT', false],
  ])('knows the code %s in an error that somebody else made of it: %s', (code, isTrouble) => {
    expect(isDatabaseTrouble(Object.assign(new Error('wrapped'), { code }))).toBe(isTrouble);
  });

  test.each(['select 1 / 0', 'select * from no_such_table', 'selekt 1'])(
    'takes "%s" for a mistake of ours',
    async (sql) => {
      const client = new Client({ connectionString: url });
      await client.connect();
      const error = await failure(() => client.query(sql));
      await client.end();

      expect(isDatabaseTrouble(error)).toBe(false);
    },
  );

  test.each([new Error('anything'), 'text', undefined])('does not know %s', (error) => {
    expect(isDatabaseTrouble(error)).toBe(false);
  });
});
