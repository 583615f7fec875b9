import { SERVER_ROLE_LIFETIME, type Gun, type RoleName, type ServerRole } from '@scrivener/tuf';
import type { Pool } from 'pg';
import {
  addDays,
  type Alarm,
  type Due,
  type Expiries,
  type Expiry,
  type Maker,
} from '../expiries.ts';
import { gunDigest } from '../gun-digest.ts';

/**
 * See `Expiries`; the tables are in `migrations/server/005_expiries.sql` and `016_expiry_watch.sql`, the
 * view in `011_generations.sql`.
 */
export function postgresExpiries(pool: Pick<Pool, 'query'>): Expiries {
  return {
    async soonest({ madeBy, before, limit, after }) {
      const place = after && [after.expiresAt, gunDigest(after.gun), after.role, after.subject];
      const { rows } = await pool.query<Row>({
        name: place === undefined ? 'soonest expiries' : 'next expiries',
        text: place === undefined ? SOONEST : NEXT,
        values: [madeBy, before, limit, ...(place ?? [])],
      });
      return rows.map(expiryOf);
    },

    async summary(now, days) {
      const { rows } = await pool.query<SummaryRow>({
        name: 'summary of expiries',
        text: SUMMARY,
        values: [now, days],
      });
      const [row] = rows;
      if (row === undefined) throw new Error('an aggregate has one row');
      return {
        next: { client: dateOf(row.next_client), server: dateOf(row.next_server) },
        expired: { client: Number(row.expired_client), server: Number(row.expired_server) },
        within: new Map(days.map((count, index) => [count, Number(row.within[index] ?? 0)])),
      };
    },

    async claim({ now, lifeLeft, jitter, limit, until }) {
      const horizon = (role: ServerRole) =>
        addDays(now, SERVER_ROLE_LIFETIME[role] * (lifeLeft + jitter));
      const { rows } = await pool.query<DueRow>({
        name: 'claim renewals',
        text: CLAIM,
        values: [now, until, limit, lifeLeft, jitter, horizon('timestamp'), horizon('snapshot')],
      });
      return rows.map(dueOf);
    },

    async release(guns, until) {
      await pool.query({
        name: until === undefined ? 'end claims' : 'prolong claims',
        text:
          until === undefined
            ? 'delete from renewal_claims where gun_sha256 = any($1::bytea[])'
            : 'update renewal_claims set until = $2 where gun_sha256 = any($1::bytea[])',
        values: [guns.map(gunDigest), ...(until === undefined ? [] : [until])],
      });
    },

    async beginWatch(now, until) {
      const { rowCount } = await pool.query({
        name: 'begin watch',
        text: BEGIN_WATCH,
        values: [now, until],
      });
      return rowCount === 1;
    },

    async endWatch(now) {
      await pool.query({
        name: 'end watch',
        text: 'update expiry_watch set until = $1',
        values: [now],
      });
    },

    async alarms(now, days, limit) {
      const { rows } = await pool.query<AlarmRow>({
        name: 'alarms about expiries',
        text: ALARMS,
        values: [now, days, limit],
      });
      return rows.map((row): Alarm => ({ ...expiryOf(row), days: row.days }));
    },

    async raised(alarms) {
      await pool.query({
        name: 'alarms were raised',
        text: RAISED,
        values: [
          alarms.map(({ gun }) => gunDigest(gun)),
          alarms.map(({ role }) => role),
          alarms.map(({ subject }) => subject),
          alarms.map(({ expiresAt }) => expiresAt),
          alarms.map(({ days }) => days),
        ],
      });
    },

    async forgetAlarms() {
      await pool.query({ name: 'forget alarms', text: FORGET });
    },
  };
}

interface Row {
  readonly gun: string;
  readonly role: string;
  readonly subject: Expiry['subject'];
  readonly version: string;
  readonly made_by: Maker;
  readonly published_ms: number;
  readonly expires_ms: number;
}

interface AlarmRow extends Row {
  readonly days: number;
}

interface DueRow {
  readonly gun: string;
  readonly roles: readonly ServerRole[];
  readonly versions: readonly string[];
}

interface SummaryRow {
  readonly next_client: number | null;
  readonly next_server: number | null;
  readonly expired_client: string;
  readonly expired_server: string;
  readonly within: readonly string[];
}

function expiryOf(row: Row): Expiry {
  return {
    gun: row.gun as Gun,
    role: row.role as RoleName,
    subject: row.subject,
    version: BigInt(row.version),
    madeBy: row.made_by,
    publishedAt: new Date(row.published_ms),
    expiresAt: new Date(row.expires_ms),
  };
}

function dueOf({ gun, roles, versions }: DueRow): Due {
  const pairs = roles.map((role, index) => [role, BigInt(versions[index] ?? 0)] as const);
  return { gun: gun as Gun, roles: new Map(pairs) };
}

function dateOf(ms: number | null): Date | undefined {
  return ms === null ? undefined : new Date(ms);
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

const COLUMNS = `gun, role, subject, version, made_by,
  ${ms('published_at')} as published_ms, ${ms('expires_at')} as expires_ms`;

const soonestWhere = (condition: string) => `
  select ${COLUMNS} from live_expiries where made_by = $1 and expires_at <= $2 ${condition}
  order by expires_at, gun_sha256, role, subject limit $3`;

export const SOONEST = soonestWhere('');
const NEXT = soonestWhere('and (expires_at, gun_sha256, role, subject) > ($4, $5, $6, $7)');

const expired = (maker: Maker) =>
  `(select count(*) from live_expiries where made_by = '${maker}' and expires_at < $1)`;
const next = (maker: Maker) =>
  `(select ${ms('min(expires_at)')} from live_expiries where made_by = '${maker}' and expires_at >= $1)`;

const SUMMARY = `
  select ${next('client')} as next_client, ${next('server')} as next_server,
    ${expired('client')} as expired_client, ${expired('server')} as expired_server,
    array(
      select (
        select count(*) from live_expiries where made_by = 'client'
          and expires_at >= $1 and expires_at <= $1 + days * interval '24 hours'
      )::text
      from unnest($2::int[]) with ordinality as asked (days, nth) order by nth
    ) as within`;

/**
 * One statement that commits by itself: of two that find the same repository, the second one waits
 * until the first is through, sees its claim and leaves it. The bounds are what an index can find;
 * what is due of it is told by the life of each file and by the place of its GUN in the jitter.
 */
export const CLAIM = `
  with due as (
    select gun_sha256, min(gun) as gun, min(expires_at) as soonest,
      array_agg(role order by role) as roles, array_agg(version::text order by role) as versions
    from (values ('timestamp', $6::timestamptz), ('snapshot', $7)) as bound (role, horizon)
    join live_expiries using (role)
    left join renewal_claims using (gun_sha256)
    where made_by = 'server' and expires_at <= horizon
      and extract(epoch from expires_at - $1::timestamptz)
        <= extract(epoch from expires_at - published_at) * ($4::float8 + $5::float8
          * (get_byte(gun_sha256, 0) * 256 + get_byte(gun_sha256, 1)) / 65536)
      and (until is null or until <= $1)
    group by gun_sha256
    order by soonest, gun_sha256
    limit $3
  ),
  claimed as (
    insert into renewal_claims (gun_sha256, until) select gun_sha256, $2 from due
    on conflict (gun_sha256) do update set until = excluded.until
      where renewal_claims.until <= $1
    returning gun_sha256
  )
  select gun, roles, versions from due join claimed using (gun_sha256)
  order by soonest, gun_sha256`;

export const ALARMS = `
  select expiry.* from (
    select ${COLUMNS}, gun_sha256, expires_at, (
      select min(asked.days) from unnest($2::int[]) as asked (days)
      where expires_at <= $1::timestamptz + asked.days * interval '24 hours'
    ) as days
    from live_expiries where made_by = 'client' and expires_at <= $1::timestamptz
      + (select max(asked.days) from unnest($2::int[]) as asked (days)) * interval '24 hours'
  ) as expiry
  left join expiry_alarms as last using (gun_sha256, role, subject, expires_at)
  where last.days is null or last.days > expiry.days
  order by expires_at, gun_sha256, role, subject limit $3`;

const RAISED = `
  insert into expiry_alarms (gun_sha256, role, subject, expires_at, days)
  select * from unnest($1::bytea[], $2::text[], $3::text[], $4::timestamptz[], $5::int[])
  on conflict (gun_sha256, role, subject)
    do update set expires_at = excluded.expires_at, days = excluded.days`;

const BEGIN_WATCH = `
  insert into expiry_watch (until) values ($2)
  on conflict (only_row) do update set until = excluded.until where expiry_watch.until <= $1`;

/** So many events behind is what a busy server may be; more, and it is projected anew. */
const BEHIND = 1_000;

const FORGET = `
  delete from expiry_alarms as last
  where (select position from projections where live)
      >= (select position from log_head) - ${BEHIND}
    and not exists (
      select from live_expiries as there where there.gun_sha256 = last.gun_sha256
        and there.role = last.role and there.subject = last.subject
    )`;
