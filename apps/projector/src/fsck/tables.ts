import type { ClientBase } from 'pg';
import type { Finding } from './finding.ts';

/** Rows of one kind that are named; the others are only counted. */
const NAMED = 100;

/** What no single stream can tell: rows of repositories that the log does not know, ids of changes. */
export async function checkTables(client: ClientBase): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const table of ['metafiles', 'expiries', 'changefeed']) {
    const { rows } = await client.query<{ digest: string; name: string | null }>(
      `select distinct encode(gun_sha256, 'hex') as digest,
         ${table === 'metafiles' ? 'null' : 'gun'} as name
       from live_${table} as row where not exists (
         select from events where events.gun_sha256 = row.gun_sha256
       ) limit ${NAMED}`,
    );
    for (const { digest, name } of rows) {
      const reason = `the log knows no repository with the digest ${digest}`;
      const gun = name ?? undefined;
      findings.push({ kind: 'read-model', column: table, ...(gun && { gun }), reason });
    }
  }
  const { rows } = await client.query<{ id: string; position: string; gun: string }>(
    `select id, position, gun from (
       select id, position, gun, row_number() over (order by id) as nth,
         lag(position) over (order by id) as before
       from live_changefeed
     ) as entry where id <> nth or position <= before order by id limit 1`,
  );
  for (const { id, position, gun } of rows) {
    const reason = `from id ${id} on, ids are not 1, 2, 3 … in the order of the log`;
    findings.push({
      kind: 'read-model',
      column: 'changefeed',
      position: Number(position),
      gun,
      reason,
    });
  }
  return findings;
}
