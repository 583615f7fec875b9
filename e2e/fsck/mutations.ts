import { createHash } from 'node:crypto';
import { deserialise, eventHash, serialise, type RepositoryEvent } from '@scrivener/events';
import type { ClientBase } from 'pg';
import type { Finding } from '../../apps/projector/src/fsck/finding.ts';
import type { Random } from '../torture/random.ts';

/** What fsck has to say about a mutation: a finding that has all of this. */
export type Clue = Partial<
  Pick<Finding, 'kind' | 'position' | 'gun' | 'version' | 'column' | 'role'>
>;

/** An event that a mutation may change. */
export interface Victim {
  readonly position: number;
  readonly gun: string;
  readonly version: number;
  readonly type: string;
  readonly at: string;
  readonly data: string;
  readonly cause: string;
  readonly hash: string;
  /** Of its first metafile, where it has one. */
  readonly sha256: string;
}

/** Changes a log as somebody who owns the database could. Gives what has to be found. */
interface Mutation {
  readonly name: string;
  /** Which events will do, as SQL over `events`. */
  readonly where: string;
  readonly apply: (client: ClientBase, victim: Victim, other: Victim) => Promise<readonly Clue[]>;
}

const PUBLISH = `type = 'UpdatePublished'`;
const HAS_NEXT = `exists (
  select from events as next where next.gun_sha256 = events.gun_sha256 and next.version = events.version + 1)`;
const IS_LAST = `not ${HAS_NEXT}`;
/** What it made current is still there, for no deletion came after it. */
const IS_ALIVE = `not exists (
  select from events as gone where gone.gun_sha256 = events.gun_sha256
    and gone.version >= events.version and gone.type = 'RepositoryDeleted')`;

const hex = (digits: string) => Buffer.from(digits, 'hex');
const place = ({ position, gun, version }: Victim) => ({ position, gun, version });

/** One statement about the victim, `$1` its position, and what follows from it. */
function statement(
  name: string,
  where: string,
  sql: string,
  clues: (victim: Victim, other: Victim) => readonly Clue[],
  values: (victim: Victim, other: Victim) => readonly unknown[] = () => [],
): Mutation {
  return {
    name,
    where,
    async apply(client, victim, other) {
      const { rowCount } = await client.query(sql, [victim.position, ...values(victim, other)]);
      if (rowCount === 0) throw new Error(`${name} changed nothing`);
      return clues(victim, other);
    },
  };
}

const set = (column: string, value: string) =>
  `update events set ${column} = ${value} where position = $1`;
const inData = (from: string, to: string) =>
  set('data', `regexp_replace(data::text, '${from}', '${to}')::json`);
const chain = (victim: Victim): Clue[] => [{ kind: 'chain', ...place(victim) }];
const chainIn =
  (column: string) =>
  (victim: Victim): Clue[] => [{ kind: 'chain', ...place(victim), column }];
const modelOf =
  (table: string) =>
  ({ gun }: Victim): Clue[] => [{ kind: 'read-model', gun, column: table }];
const withGun = ({ gun }: Victim) => [createHash('sha256').update(gun).digest()];

export const MUTATIONS: readonly Mutation[] = [
  statement('another time', PUBLISH, set('at', `at + interval '1 ms'`), chainIn('at')),
  statement('a microsecond more', PUBLISH, set('at', `at + interval '1 us'`), (victim) => [
    { kind: 'event', ...place(victim), column: 'at' },
  ]),
  statement(
    'another subject',
    `cause::text like '%"subject":%' and ${HAS_NEXT}`,
    set('cause', `regexp_replace(cause::text, '"subject":"', '"subject":"not-')::json`),
    chain,
  ),
  statement('no cause', `cause::text <> '{}'`, set('cause', `'{}'`), chain),
  statement('white space in data', PUBLISH, inData('^\\{', '{ '), (victim) => [
    { kind: 'event', ...place(victim), column: 'data' },
  ]),
  statement('another version of a file', PUBLISH, inData('"version":"', '"version":"9'), chain),
  statement('another length of a file', PUBLISH, inData('"length":', '"length":9'), (victim) => [
    ...chain(victim),
    { kind: 'file', ...place(victim) },
  ]),
  statement(
    'another expiry of a file',
    PUBLISH,
    inData('"expires":"2', '"expires":"3'),
    (victim) => [...chain(victim), { kind: 'file', ...place(victim) }],
  ),
  statement(
    'another file',
    PUBLISH,
    inData('"sha256":"[0-9a-f]{4}', '"sha256":"0000'),
    (victim) => [...chain(victim), { kind: 'file', ...place(victim) }],
  ),
  statement(
    'made by somebody else',
    PUBLISH,
    inData('"madeBy":"client"', '"madeBy":"server"'),
    chain,
  ),
  statement('an unknown member', PUBLISH, inData('^\\{', '{"a":1,'), (victim) => [
    { kind: 'event', ...place(victim) },
  ]),
  statement('another type', `type = 'RoleRenewed'`, set('type', `'UpdatePublished'`), chain),
  statement('an unknown type', PUBLISH, set('type', `'UpdateUnpublished'`), (victim) => [
    { kind: 'event', ...place(victim) },
  ]),
  statement(
    'another keyid',
    `type = 'KeyCreated'`,
    inData('"keyid":"[0-9a-f]{4}', '"keyid":"0000'),
    (victim) => [...chain(victim), { kind: 'event', ...place(victim), column: 'data' }],
  ),
  statement('another hash', HAS_NEXT, set('hash', `sha256(hash)`), chainIn('hash')),
  statement('another hash at the end', IS_LAST, set('hash', `sha256(hash)`), chain),
  statement('another version', HAS_NEXT, set('version', 'version + 100000'), ({ gun }) => [
    { kind: 'chain', gun, column: 'version' },
  ]),
  statement('another GUN', HAS_NEXT, set('gun', `gun || 'x'`), ({ position, version }) => [
    { kind: 'event', position, version, column: 'gun_sha256' },
    { kind: 'chain', position, version, column: 'gun' },
  ]),
  statement(
    'into another stream',
    HAS_NEXT,
    'update events set gun = $2, gun_sha256 = $3 where position = $1',
    ({ gun, position, version }, other) => [
      { kind: 'chain', gun, version: version + 1, column: 'version' },
      { kind: 'chain', position, gun: other.gun },
    ],
    (_, other) => [other.gun, createHash('sha256').update(other.gun).digest()],
  ),
  statement('dropped', HAS_NEXT, 'delete from events where position = $1', (victim) => [
    { kind: 'log', position: victim.position },
    { kind: 'chain', gun: victim.gun, version: victim.version + 1, column: 'version' },
  ]),
  statement(
    'dropped at the end of its stream',
    `${IS_LAST} and ${IS_ALIVE} and type <> 'KeyCreated'`,
    'delete from events where position = $1',
    (victim) => [{ kind: 'log', position: victim.position }, ...modelOf('metafiles')(victim)],
  ),
  statement(
    'there twice',
    HAS_NEXT,
    'insert into events select * from events where position = $1',
    (victim) => [
      { kind: 'log', position: victim.position },
      { kind: 'chain', ...place(victim), column: 'version' },
    ],
  ),
  statement(
    'versions of neighbours swapped',
    HAS_NEXT,
    `update events set version = case when version = $3 then $3 + 1 else $3::int end
     where gun_sha256 = $2 and version in ($3, $3 + 1) and $1::bigint > 0`,
    ({ gun }) => [
      { kind: 'chain', gun, column: 'position' },
      { kind: 'chain', gun },
    ],
    (victim) => [...withGun(victim), victim.version],
  ),
  statement(
    'positions of neighbours swapped',
    HAS_NEXT,
    `update events set position = (
       select sum(pair.position) from events as pair
       where pair.gun_sha256 = events.gun_sha256 and pair.version in ($3, $3 + 1)) - position
     where gun_sha256 = $2 and version in ($3, $3 + 1) and $1::bigint > 0`,
    ({ gun, version }) => [{ kind: 'chain', gun, version: version + 1, column: 'position' }],
    (victim) => [...withGun(victim), victim.version],
  ),
  statement(
    'positions of two streams swapped',
    PUBLISH,
    'update events set position = $1 + $2 - position where position in ($1, $2)',
    (victim, other) => [...modelOf('changefeed')(victim), ...modelOf('changefeed')(other)],
    (_, other) => [other.position],
  ),
  statement(
    'hashes of neighbours swapped',
    HAS_NEXT,
    `update events set hash = (
       select pair.hash from events as pair where pair.gun_sha256 = events.gun_sha256
         and pair.version = 2 * $3 + 1 - events.version)
     where gun_sha256 = $2 and version in ($3, $3 + 1) and $1::bigint > 0`,
    chain,
    (victim) => [...withGun(victim), victim.version],
  ),
  statement(
    'bytes of a file changed',
    PUBLISH,
    `update files set bytes = set_byte(bytes, 20, get_byte(bytes, 20) # 1)
     where sha256 = $2 and $1::bigint > 0`,
    (victim) => [{ kind: 'file', ...place(victim) }],
    ({ sha256 }) => [hex(sha256)],
  ),
  statement(
    'bytes of a file changed, and its checksum with them',
    PUBLISH,
    `update files set bytes = bytes || ' ', sha256 = sha256(bytes || ' ')
     where sha256 = $2 and $1::bigint > 0`,
    (victim) => [{ kind: 'file', ...place(victim) }],
    ({ sha256 }) => [hex(sha256)],
  ),
  statement(
    'a file dropped',
    PUBLISH,
    'delete from files where sha256 = $2 and $1::bigint > 0',
    (victim) => [{ kind: 'file', ...place(victim) }],
    ({ sha256 }) => [hex(sha256)],
  ),
  forged('a signature changed, and all that follows from it', (text) =>
    text.replace(/"sig":"(.)/, (_, first: string) => `"sig":"${first === 'A' ? 'B' : 'A'}`),
  ),
  forged('what was signed changed, and all that follows from it', (text) =>
    text.replace(/"expires":"\d/, '"expires":"3'),
  ),
  forged('signed with a key of a stranger, and all that follows from it', (text) =>
    text.replace(/"keyid":"[0-9a-f]{64}"/, `"keyid":"${'ab'.repeat(32)}"`),
  ),
  ...[
    'sha256 = sha256(sha256)',
    `published_at = published_at + interval '1 us'`,
    'position = position + 1',
  ].map((change) =>
    statement(
      `metafiles: ${change}`,
      `${PUBLISH} and ${IS_ALIVE}`,
      `update metafiles set ${change} where position = $1`,
      modelOf('metafiles'),
    ),
  ),
  statement(
    'metafiles: a row dropped',
    `${PUBLISH} and ${IS_ALIVE}`,
    'delete from metafiles where position = $1',
    modelOf('metafiles'),
  ),
  statement(
    'metafiles: a row more',
    `${PUBLISH} and ${IS_ALIVE}`,
    `insert into metafiles select gun_sha256, role, version + 100000, sha256, published_at, position
     from metafiles where position = $1`,
    modelOf('metafiles'),
  ),
  ...[
    `created_at = created_at + interval '1 s'`,
    'version = version + 1',
    'sha256 = sha256(sha256)',
    `gun = gun || 'x'`,
    `category = 'deletion'`,
  ].map((change) =>
    statement(
      `changefeed: ${change}`,
      PUBLISH,
      `update changefeed set ${change} where position = $1`,
      modelOf('changefeed'),
    ),
  ),
  statement(
    'changefeed: a row dropped',
    PUBLISH,
    'delete from changefeed where position = $1',
    modelOf('changefeed'),
  ),
  ...[
    `expires_at = expires_at + interval '1 s'`,
    'version = version + 1',
    `made_by = case made_by when 'client' then 'server' else 'client' end`,
  ].map((change) =>
    statement(
      `expiries: ${change}`,
      `${PUBLISH} and ${IS_ALIVE}`,
      `update expiries set ${change} where gun_sha256 = $2 and $1::bigint > 0`,
      modelOf('expiries'),
      withGun,
    ),
  ),
  statement(
    'expiries: rows dropped',
    `${PUBLISH} and ${IS_ALIVE}`,
    'delete from expiries where gun_sha256 = $2 and $1::bigint > 0',
    modelOf('expiries'),
    withGun,
  ),
];

/** The hash of an event as the code that writes events computes it. */
function rehashed(victim: Victim, event: RepositoryEvent, previous: string): Buffer {
  const { version } = victim;
  return hex(eventHash(previous, { gun: event.gun, version, event }));
}

/** The last event of a stream with another file, and everything in the database made to fit. */
function forged(name: string, change: (text: string) => string): Mutation {
  return {
    name,
    where: `${PUBLISH} and ${IS_LAST} and version > 1`,
    async apply(client, victim) {
      const event = deserialise({
        ...victim,
        data: JSON.parse(victim.data),
        cause: JSON.parse(victim.cause),
      });
      if (event.type !== 'UpdatePublished') throw new Error('not a publish');
      const old = event.data.metafiles.find(({ role }) => role === 'timestamp');
      const { rows } = await client.query<{ bytes: Buffer }>(
        'select bytes from files where sha256 = $1',
        [hex(old?.sha256 ?? '')],
      );
      const bytes = Buffer.from(change(String(rows[0]?.bytes)));
      const digest = createHash('sha256').update(bytes).digest();
      const { rows: before } = await client.query<{ hash: string }>(
        `select encode(hash, 'hex') as hash from events where gun = $1 and version = $2`,
        [victim.gun, victim.version - 1],
      );
      const expires = /"expires":"([^"]*)"/.exec(String(bytes))?.[1] ?? '';
      const metafiles = event.data.metafiles.map((ref) =>
        ref === old
          ? {
              ...ref,
              sha256: digest.toString('hex') as typeof ref.sha256,
              length: bytes.length,
              expires: new Date(expires).toISOString(),
            }
          : ref,
      );
      const forged = { ...event, data: { metafiles } };
      const hash = rehashed(victim, forged, before[0]?.hash ?? '');
      await client.query('insert into files values ($1, $2)', [digest, bytes]);
      await client.query('update events set data = $2, hash = $3 where position = $1', [
        victim.position,
        serialise(forged).data,
        hash,
      ]);
      for (const table of ['metafiles', 'changefeed']) {
        const role = table === 'metafiles' ? `and role = 'timestamp'` : '';
        await client.query(`update ${table} set sha256 = $2 where position = $1 ${role}`, [
          victim.position,
          digest,
        ]);
      }
      return [{ kind: 'signature', ...place(victim), role: 'timestamp' }];
    },
  };
}

/** Constraints keep the honest from mistakes; the owner of a database can drop them. */
export const DROP_CONSTRAINTS = `do $$
  declare one record;
  begin
    for one in select conrelid::regclass as owner, conname from pg_constraint
      where contype in ('p', 'u', 'c') and conrelid in ('events'::regclass, 'files'::regclass)
    loop
      execute format('alter table %s drop constraint %I', one.owner, one.conname);
    end loop;
  end $$`;

export interface VictimQuery {
  readonly random: Random;
  /** Repositories that something was done to already. */
  readonly without?: ReadonlySet<string>;
}

/** An event at random of those that will do. */
export async function pickVictim(
  client: ClientBase,
  where: string,
  last: number,
  { random, without = new Set() }: VictimQuery,
): Promise<Victim> {
  const from = Math.floor(random.between(1, last + 1));
  const query = (range: string, order: string) =>
    client.query<Omit<Victim, 'position'> & { position: string }>(
      `select position, gun, version, type, data::text as data, cause::text as cause,
         to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at,
         encode(hash, 'hex') as hash, coalesce(data -> 'metafiles' -> 0 ->> 'sha256', '') as sha256
       from events where ${range} and ${where} and not gun = any($2) order by position ${order} limit 1`,
      [from, [...without]],
    );
  const { rows } = await query('position >= $1', 'asc');
  const [row] = rows.length > 0 ? rows : (await query('position < $1', 'desc')).rows;
  if (row === undefined) throw new Error(`no event will do for: ${where}`);
  return { ...row, position: Number(row.position) };
}

/** The clues that no finding has. */
export function missed(clues: readonly Clue[], findings: readonly Finding[]): readonly Clue[] {
  return clues.filter(
    (clue) =>
      !findings.some((finding) =>
        Object.entries(clue).every(([name, value]) => finding[name as keyof Clue] === value),
      ),
  );
}
