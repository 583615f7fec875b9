import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { fsck } from '../../apps/projector/src/fsck/fsck.ts';
import { ensureDatabase } from '../../scripts/database.ts';
import { migrateDatabases } from '../../scripts/migrate.ts';
import { EVENTS_PER_COLLECTION, fill } from './fill.ts';

/** On a busy machine. */
const LIMIT = 120_000;
const COLLECTIONS = 300; // more than one statement's worth

test('fsck finds nothing wrong with what fills a database', { timeout: LIMIT }, async () => {
  const superuserUrl = process.env['DATABASE_URL'] ?? '';
  const name = randomBytes(4).toString('hex');
  const server = await ensureDatabase(superuserUrl, `fill_${name}`);
  const signer = await ensureDatabase(superuserUrl, `fill_keys_${name}`);
  await migrateDatabases({ server, signer }, []);

  await fill({ server, signer }, COLLECTIONS);

  expect(await fsck({ url: server, threads: 1, expected: [] })).toMatchObject({
    events: COLLECTIONS * EVENTS_PER_COLLECTION,
    unprojected: 0,
    findings: [],
  });
  const client = new Client({ connectionString: signer });
  await client.connect();
  const { rows } = await client.query('select count(*)::int as keys from private_keys');
  await client.end();
  expect(rows).toEqual([{ keys: 2 * COLLECTIONS }]);
});
