import type { RecordedEvent } from '@scrivener/events';
import {
  changeRows,
  expiryChanges,
  metafileChanges,
  type ExpiryRow,
  type MetafileRow,
} from '@scrivener/read-model';
import type { ClientBase } from 'pg';
import type { Finding } from './finding.ts';

/** What the read model ought to say about one repository, collected event by event. */
export interface Expected {
  add(events: readonly RecordedEvent[]): void;
  /** Compares with what is there, in the transaction that the events were read in. */
  compare(client: ClientBase, gunSha256: string): Promise<readonly Finding[]>;
}

const AT = `to_char(%s at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const instant = (column: string) => AT.replace('%s', column);

const METAFILES = `
  select role || ' ' || version as key, position::text as position,
    json_build_object('sha256', encode(sha256, 'hex'), 'published_at', ${instant('published_at')},
      'position', position) as value
  from live_metafiles where gun_sha256 = decode($1, 'hex')`;

const EXPIRIES = `
  select role || ' ' || subject as key, null as position,
    json_build_object('gun', gun, 'version', version::text, 'made_by', made_by,
      'published_at', ${instant('published_at')}, 'expires_at', ${instant('expires_at')}) as value
  from live_expiries where gun_sha256 = decode($1, 'hex')`;

/** Ids are those of the whole log; within a repository they have to ascend. */
const CHANGEFEED = `
  select (row_number() over (order by id))::text as key, position::text as position,
    json_build_object('gun', gun, 'created_at', ${instant('created_at')}, 'version', version::text,
      'sha256', encode(sha256, 'hex'), 'category', category, 'position', position) as value
  from live_changefeed where gun_sha256 = decode($1, 'hex')`;

interface Row {
  readonly key: string;
  readonly position: string | null;
  readonly value: Readonly<Record<string, string | number | null>>;
}

type Values = Map<string, Row['value']>;

export function expectedReadModel(): Expected {
  let gun = '';
  const metafiles = new Map<string, MetafileRow>();
  const expiries = new Map<string, ExpiryRow>();
  const changes: Values = new Map();
  /** What the last deletion took. */
  let buried = { metafiles: [...metafiles], expiries: [...expiries] };

  const bury = () => {
    buried = { metafiles: [...metafiles], expiries: [...expiries] };
    metafiles.clear();
    expiries.clear();
  };
  const raise = () => {
    for (const [key, row] of buried.metafiles) metafiles.set(key, row);
    for (const [key, row] of buried.expiries) expiries.set(key, row);
  };
  const take = (events: readonly RecordedEvent[]) => {
    for (const row of metafileChanges(events).added) {
      metafiles.set(`${row.role} ${row.version}`, row);
    }
    for (const row of expiryChanges(events).current) {
      const key = `${row.role} ${row.subject}`;
      if ((expiries.get(key)?.version ?? row.version) <= row.version) expiries.set(key, row);
    }
  };

  return {
    add(events) {
      for (const stretch of stretches(events)) {
        const type = stretch[0]?.event.type;
        if (type === 'RepositoryDeleted') bury();
        if (type === 'RepositoryRestored') raise();
        take(stretch);
      }
      for (const row of changeRows(events)) {
        changes.set(`${changes.size + 1}`, {
          gun: row.gun,
          created_at: micros(row.createdAt),
          version: row.version.toString(),
          sha256: row.sha256 === '' ? null : row.sha256,
          category: row.category,
          position: row.position,
        });
      }
      gun = events[0]?.event.gun ?? gun;
    },
    async compare(client, gunSha256) {
      const compare = async (table: string, query: string, expected: Values) => {
        const { rows } = await client.query<Row>(query, [gunSha256]);
        return differences(table, gun, rows, expected);
      };
      return [
        ...(await compare('metafiles', METAFILES, valuesOfMetafiles(metafiles))),
        ...(await compare('expiries', EXPIRIES, valuesOfExpiries(expiries))),
        ...(await compare('changefeed', CHANGEFEED, changes)),
      ];
    },
  };
}

/** In order; a deletion or a restoration begins one. */
function* stretches(events: readonly RecordedEvent[]): Generator<readonly RecordedEvent[]> {
  let start = 0;
  for (const [index, { event }] of events.entries()) {
    if (event.type !== 'RepositoryDeleted' && event.type !== 'RepositoryRestored') continue;
    yield events.slice(start, index);
    start = index;
  }
  yield events.slice(start);
}

/** With the microseconds that a database could have, and that are none in the log. */
const micros = (at: string) => at.replace('Z', '000Z');

function valuesOfMetafiles(rows: ReadonlyMap<string, MetafileRow>): Values {
  const values = [...rows].map(([key, { sha256, publishedAt, position }]) => {
    return [key, { sha256, published_at: micros(publishedAt), position }] as const;
  });
  return new Map(values);
}

function valuesOfExpiries(rows: ReadonlyMap<string, ExpiryRow>): Values {
  const values = [...rows].map(([key, row]) => {
    const { gun, version, madeBy, publishedAt, expiresAt } = row;
    return [
      key,
      {
        gun,
        version: version.toString(),
        made_by: madeBy,
        published_at: micros(publishedAt),
        expires_at: micros(expiresAt),
      },
    ] as const;
  });
  return new Map(values);
}

function differences(
  table: string,
  gun: string,
  rows: readonly Row[],
  expected: Values,
): Finding[] {
  const findings: Finding[] = [];
  const tell = (key: string, position: unknown, reason: string) =>
    findings.push({
      kind: 'read-model',
      gun,
      ...(typeof position === 'number' && { position }),
      column: table,
      reason: `${key}: ${reason}`,
    });
  const left = new Map(expected);
  for (const { key, position, value } of rows) {
    const wanted = left.get(key);
    left.delete(key);
    const place = wanted?.['position'] ?? (position === null ? undefined : Number(position));
    if (wanted === undefined) {
      tell(key, place, 'the log does not come to this row');
      continue;
    }
    for (const [column, should] of Object.entries(wanted)) {
      const is = value[column];
      if (is !== should) tell(key, place, `${column} is ${String(is)}, and should be ${should}`);
    }
  }
  for (const [key, { position }] of left) tell(key, position, 'the row is missing');
  return findings;
}
