import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bigintArray, byteaArray, hexArray, textArray, timeArray } from './arrays.ts';

describe('arrays', () => {
  let database: TestDatabase;
  let client: Client;
  beforeAll(async () => {
    database = await testDatabase();
    client = new Client(database.url);
    await client.connect();
    await client.query(`set time zone 'UTC'`);
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  const texts = ['', 'a "quoted" {one}, \\', '🐳\u0001', 'NULL', 'x'.repeat(100_000), null];
  const moments = [
    '1970-01-01T00:00:00.000Z',
    '1999-12-31T23:59:59.999Z',
    '2026-11-25T12:34:56.789Z',
    '0001-01-01T00:00:00.000Z',
    '9999-12-31T23:59:59.999Z',
    '2286-01-01T00:00:00.001Z',
  ];

  test.each<[string, Buffer, unknown[]]>([
    ['text', textArray(texts), texts],
    ['text', textArray([]), []],
    [
      'bytea',
      byteaArray([Buffer.from([0, 255]), Buffer.alloc(0), null]),
      [Buffer.from([0, 255]), Buffer.alloc(0), null],
    ],
    [
      'bytea',
      hexArray(['00ff7f', '', null]),
      [Buffer.from('00ff7f', 'hex'), Buffer.alloc(0), null],
    ],
    [
      'bigint',
      bigintArray([0, -1, 4_294_967_296, -4_294_967_297, 2n ** 63n - 1n, -(2n ** 63n), 5n]),
      ['0', '-1', '4294967296', '-4294967297', '9223372036854775807', '-9223372036854775808', '5'],
    ],
  ])('of %s are what Postgres reads', async (type, array, expected) => {
    const { rows } = await client.query<{ read: unknown }>(`select $1::${type}[] as read`, [array]);
    expect(rows[0]?.read).toEqual(expected);
  });

  test('of moments are the moments that Postgres reads in the text', async () => {
    const { rows } = await client.query<{ same: boolean }>(
      'select $1::timestamptz[] = $2::text[]::timestamptz[] as same',
      [timeArray(moments), moments],
    );
    expect(rows[0]?.same).toBe(true);
  });

  test('what is no moment is refused', () => {
    expect(() => timeArray(['yesterday'])).toThrow(RangeError);
  });
});
