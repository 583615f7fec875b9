import type { Gun } from '@scrivener/tuf';
import type { Difference } from '../generations.ts';
import type { Connection } from './project.ts';
import { otherSlot, TABLES, type Slot } from './slots.ts';

/** Which rows: those of some repositories, by the digests of their GUNs. */
export type Scope =
  | { readonly guns: readonly Buffer[] }
  /** From one digest up to before another one; no end where it is absent. */
  | { readonly from: Buffer; readonly before: Buffer | undefined };

/** All repositories, in so many shares of about the same size. */
export const SHARES = 64;

export function shareOf(n: number): Scope {
  const first = (256 / SHARES) * n;
  const next = first + 256 / SHARES;
  return { from: Buffer.from([first]), before: next < 256 ? Buffer.from([next]) : undefined };
}

/** Rows that are fetched at once. */
const PAGE = 1_000;

interface Comparison {
  readonly table: Difference['table'];
  /** By which two rows are the same one. */
  readonly key: readonly string[];
  readonly rest: readonly string[];
}

const COMPARISONS: readonly Comparison[] = [
  {
    table: 'metafiles',
    key: ['gun_sha256', 'role', 'version'],
    rest: ['sha256', 'published_at', 'position'],
  },
  {
    table: 'changefeed',
    key: ['id'],
    rest: ['created_at', 'gun', 'gun_sha256', 'version', 'sha256', 'category', 'position'],
  },
  {
    table: 'expiries',
    key: ['gun_sha256', 'role', 'subject'],
    rest: ['gun', 'version', 'made_by', 'published_at', 'expires_at'],
  },
];

interface DifferenceRow {
  readonly gun: string | null;
  readonly live: string | null;
  readonly rebuilt: string | null;
}

/**
 * The rows that `slot` and the other generation do not have in common. All that GETs answer is made of
 * these columns, of the bytes with that sha256 in the log, which both have in common, and of settings.
 * The connection has to be in a transaction.
 */
export async function* differencesIn(
  connection: Connection,
  slot: Slot,
  scope: Scope,
): AsyncGenerator<Difference> {
  const { where, values } = conditionOf(scope);
  for (const comparison of COMPARISONS) {
    const { table } = comparison;
    const names = { live: TABLES[otherSlot(slot)][table], rebuilt: TABLES[slot][table] };
    const sql = differencesSql(comparison, names, where);
    await connection.query({
      text: `declare differences no scroll cursor for ${sql}`,
      values,
    });
    for (;;) {
      const { rows } = await connection.query<DifferenceRow>(`fetch ${PAGE} from differences`);
      for (const row of rows) yield differenceOf(table, row);
      if (rows.length < PAGE) break;
    }
    await connection.query('close differences');
  }
}

function differenceOf(table: Difference['table'], row: DifferenceRow): Difference {
  return {
    table,
    gun: row.gun === null ? undefined : (row.gun as Gun),
    live: row.live ?? undefined,
    rebuilt: row.rebuilt ?? undefined,
  };
}

/** In which slot a row lies is no difference. */
const differencesSql = (
  { key, rest }: Comparison,
  names: { readonly live: string; readonly rebuilt: string },
  where: string,
) => {
  const columns = [...key, ...rest].join(', ');
  const rowOf = (side: string) => `(${rest.map((column) => `${side}.${column}`).join(', ')})`;
  return `
    select to_jsonb(live)::text as live, to_jsonb(rebuilt)::text as rebuilt, (
      select events.gun from events where events.version = 1
        and events.gun_sha256 = coalesce(live.gun_sha256, rebuilt.gun_sha256)
    ) as gun
    from (select ${columns} from ${names.live} where ${where}) as live
    full join (select ${columns} from ${names.rebuilt} where ${where}) as rebuilt
      using (${key.join(', ')})
    where ${rowOf('live')} is distinct from ${rowOf('rebuilt')}
    order by ${key.join(', ')}`;
};

function conditionOf(scope: Scope): { readonly where: string; readonly values: unknown[] } {
  if ('guns' in scope) return { where: 'gun_sha256 = any($1::bytea[])', values: [scope.guns] };
  const { from, before } = scope;
  if (before === undefined) return { where: 'gun_sha256 >= $1', values: [from] };
  return { where: 'gun_sha256 >= $1 and gun_sha256 < $2', values: [from, before] };
}
