// Fills one stretch of the log (fill.ts), and ends.

import { once } from 'node:events';
import { keyId } from '@scrivener/tuf';
import { Client } from 'pg';
import { createSealer } from '../../apps/signer-worker/src/seal.ts';
import { EVENTS_PER_COLLECTION, type Stretch } from './fill.ts';
import { firstHistory, type History } from './history.ts';

/** Collections per statement. */
const BATCH = 250;
const ROLES = ['timestamp', 'snapshot'] as const;

const [stretch] = (await once(process, 'message')) as [Stretch];
const [server, signer] = await Promise.all([connect(stretch.server), connect(stretch.signer)]);
const { jwe } = await createSealer({ NOTARY_SIGNER_BENCH: 'bench' }, 'bench').seal(
  Buffer.alloc(121),
);
const now = new Date();

let writing: Promise<unknown> = Promise.resolve();
for (let from = stretch.from; from < stretch.to; from += BATCH) {
  const size = Math.min(BATCH, stretch.to - from);
  const histories = Array.from({ length: size }, (_, index) =>
    firstHistory(`bench.example/filled/${from + index}`, now),
  );
  await writing; // the last batch is written while this one is made
  writing = Promise.all([writeLog(histories, from), writeKeys(histories)]);
}
await writing;
await Promise.all([server.end(), signer.end()]);
process.disconnect();

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('set synchronous_commit = off');
  return client;
}

async function writeLog(histories: readonly History[], from: number): Promise<void> {
  const files = histories.flatMap(({ drafts }) => drafts.flatMap((draft) => [...draft.files]));
  await server.query({
    name: 'files',
    text: 'insert into files (sha256, bytes) select * from unnest($1::bytea[], $2::bytea[])',
    values: [files.map(([sha256]) => bytea(sha256)), files.map(([, bytes]) => bytes)],
  });
  const events = histories.flatMap(({ drafts }) => drafts);
  const first = from * EVENTS_PER_COLLECTION + 1;
  await server.query({
    name: 'events',
    text: `
      insert into events (position, gun, gun_sha256, version, type, at, data, cause, hash)
      select position, gun, sha256(convert_to(gun, 'UTF8')), version, type, at, data, cause, hash
      from unnest($1::bigint[], $2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::json[],
        $7::json[], $8::bytea[])
        as event (position, gun, version, type, at, data, cause, hash)`,
    values: [
      events.map((_, index) => first + index),
      events.map(({ stored }) => stored.gun),
      events.map(({ version }) => version),
      events.map(({ stored }) => stored.type),
      events.map(({ stored }) => stored.at),
      events.map(({ stored }) => stored.data),
      events.map(({ stored }) => stored.cause),
      events.map(({ hash }) => bytea(hash)),
    ],
  });
}

async function writeKeys(histories: readonly History[]): Promise<void> {
  const keys = histories.flatMap(({ gun, serverKeys }) =>
    ROLES.map((role) => ({ gun, role, key: serverKeys[role] })),
  );
  await signer.query({
    name: 'keys',
    text: `
      insert into private_keys (key_id, gun, role, algorithm, passphrase_alias, public, private)
      select key_id, gun, role, 'ecdsa', 'bench', public, $5
      from unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) as key (key_id, gun, role, public)`,
    values: [
      keys.map(({ key }) => keyId(key)),
      keys.map(({ gun }) => gun),
      keys.map(({ role }) => role),
      keys.map(({ key }) => Buffer.from(key.public, 'base64')),
      jwe,
    ],
  });
}

function bytea(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}
