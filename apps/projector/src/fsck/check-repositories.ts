import { Client, type ClientBase } from 'pg';
import type { Finding } from './finding.ts';
import { firstOfEach } from './limits.ts';
import { expectedReadModel } from './read-model.ts';
import { checkStream, type StoredRow } from './stream.ts';

/** What came of a few repositories. */
export interface Checked {
  readonly events: number;
  readonly files: number;
  readonly repositories: number;
  /** Not compared with the read model, which had not got as far. */
  readonly unprojected: number;
  readonly findings: readonly Finding[];
}

/** Events of a stream that are read together, and bytes of their files. */
const PAGE = 500;
const BYTES = 16 * 1024 * 1024;

/** A session that can read and nothing else. */
export async function readOnlyClient(url: string): Promise<Client> {
  const client = new Client({
    connectionString: url,
    application_name: 'scrivener fsck',
    options: '-c default_transaction_read_only=on',
    keepAlive: true,
  });
  client.on('error', () => {}); // the query that runs into it reports it
  await client.connect();
  return client;
}

/** Checks the streams with these digests of GUNs, each as of one moment. */
export async function checkRepositories(
  client: ClientBase,
  digests: readonly string[],
): Promise<Checked> {
  const findings: Finding[] = [];
  let events = 0;
  let files = 0;
  let unprojected = 0;
  for (const digest of digests) {
    // one moment for log and read model; no longer than a stream takes, for it keeps rows from vacuum
    await client.query('begin isolation level repeatable read read only');
    const checked = await checkRepository(client, digest);
    await client.query('commit');
    events += checked.events;
    files += checked.files;
    unprojected += checked.unprojected;
    for (const finding of firstOfEach(checked.findings)) findings.push(finding);
  }
  return { events, files, repositories: digests.length, unprojected, findings };
}

async function checkRepository(
  client: ClientBase,
  gunSha256: string,
): Promise<Omit<Checked, 'repositories'>> {
  const check = checkStream();
  const expected = expectedReadModel();
  const checkpoint = await checkpointOf(client);
  let after: Place = { version: -(2 ** 31), position: -1 };
  let last = 0;
  let events = 0;
  let files = 0;
  for (;;) {
    const rows = await readRows(client, gunSha256, after);
    const end = rows.at(-1);
    if (end === undefined) break;
    const witnesses = await readWitnesses(client, gunSha256, rows);
    for (const part of byBytes(rows)) {
      const bytes = await readFiles(client, part.checksums);
      files += bytes.size;
      expected.add(check.next(part.rows, bytes, (position) => witnesses.get(position)));
    }
    events += rows.length;
    last = Math.max(last, ...rows.map(({ position }) => position));
    after = end;
  }
  const compared = last <= checkpoint;
  const findings = [
    ...check.findings(),
    ...(compared ? await expected.compare(client, gunSha256) : []),
  ];
  return { events, files, unprojected: compared ? 0 : 1, findings };
}

interface Place {
  readonly version: number;
  readonly position: number;
}

async function readRows(client: ClientBase, gunSha256: string, after: Place) {
  const { rows } = await client.query<Omit<StoredRow, 'position'> & { position: string }>({
    name: 'rows of a stream',
    text: `select position, gun, encode(gun_sha256, 'hex') as "gunSha256", version, type,
        to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at,
        at <> date_trunc('milliseconds', at) as "isFiner", data::text as data, cause::text as cause, encode(hash, 'hex') as hash
      from events
      where gun_sha256 = decode($1, 'hex') and (version, position) > ($2::int, $3::bigint)
      order by version, position limit ${PAGE}`,
    values: [gunSha256, after.version, after.position],
  });
  return rows.map((row): StoredRow => ({ ...row, position: Number(row.position) }));
}

/** When the changefeed says that these events happened. */
async function readWitnesses(
  client: ClientBase,
  gunSha256: string,
  rows: readonly StoredRow[],
): Promise<ReadonlyMap<number, string>> {
  const positions = rows.map(({ position }) => position);
  const { rows: seen } = await client.query<{ position: string; at: string }>({
    name: 'witnesses',
    text: `select position,
        to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
      from live_changefeed where gun_sha256 = decode($1, 'hex') and position between $2 and $3`,
    values: [gunSha256, Math.min(...positions), Math.max(...positions)],
  });
  return new Map(seen.map(({ position, at }) => [Number(position), at]));
}

interface Part {
  readonly rows: readonly StoredRow[];
  readonly checksums: readonly string[];
}

/** Rows whose files are read together. What is no reference is told when the event is read. */
function* byBytes(rows: readonly StoredRow[]): Generator<Part> {
  let part: { rows: StoredRow[]; checksums: string[] } = { rows: [], checksums: [] };
  let size = 0;
  for (const row of rows) {
    part.rows.push(row);
    for (const [, checksum = ''] of row.data.matchAll(/"sha256":"([0-9a-f]{64})"/g)) {
      part.checksums.push(checksum);
    }
    for (const [, length] of row.data.matchAll(/"length":(\d+)/g)) size += Number(length);
    if (size < BYTES) continue;
    yield part;
    part = { rows: [], checksums: [] };
    size = 0;
  }
  if (part.rows.length > 0) yield part;
}

async function readFiles(
  client: ClientBase,
  checksums: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  if (checksums.length === 0) return new Map();
  const { rows } = await client.query<{ sha256: string; bytes: Buffer }>({
    name: 'files',
    text: `select encode(sha256, 'hex') as sha256, bytes from files where sha256 = any($1::bytea[])`,
    values: [checksums.map((checksum) => Buffer.from(checksum, 'hex'))],
  });
  return new Map(rows.map(({ sha256, bytes }) => [sha256, bytes]));
}

async function checkpointOf(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ position: string }>(
    `select position from projections where live`,
  );
  return Number(rows[0]?.position ?? 0);
}
