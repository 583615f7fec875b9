import { Client } from 'pg';
import { exchange, type Answer } from './tuf-http.ts';

/** Which repositories are asked for. */
export interface Sample {
  /** So many of them, chosen by a digest of their names; all where absent. */
  readonly repositories?: number;
  /** Of each the last so many files, and every so-many-th moment; all where absent. */
  readonly each?: number;
}

export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * Every path that ever had an answer, and a few that never had one. Pictures are left out, for there is a
 * line for "now" in them. What is asked for is the past, up to the end of the log as it is now.
 */
export async function pathsOf(url: string, sample: Sample = {}): Promise<readonly string[]> {
  const { repositories = 1_000_000, each = 1_000_000 } = sample;
  return withClient(url, async (client) => {
    const { rows: files } = await client.query<Record<'gun' | 'role' | 'version' | 'sha', string>>(
      `with asked as (
         select gun, gun_sha256 from events where version = 1 order by md5(gun) limit $1
       )
       select asked.gun, ref ->> 'role' as role, ref ->> 'version' as version, ref ->> 'sha256' as sha
       from asked, lateral (
         select position, data from events
         where events.gun_sha256 = asked.gun_sha256 and type in ('UpdatePublished', 'RoleRenewed')
         order by version desc limit $2
       ) as last, json_array_elements(data -> 'metafiles') as ref
       order by position`,
      [repositories, each],
    );
    const guns = [...new Set(files.map(({ gun }) => gun))];
    const { rows: alive } = await client.query<{ gun: string }>(
      `select gun from (
         select distinct on (gun_sha256) gun, type from events
         where gun_sha256 = any (select sha256(convert_to(name, 'UTF8')) from unnest($1::text[]) as name)
           and type in ('UpdatePublished', 'RoleRenewed', 'RepositoryDeleted', 'RepositoryRestored')
         order by gun_sha256, version desc
       ) as last where type <> 'RepositoryDeleted'`,
      [guns],
    );
    const { rows: last } = await client.query<{ position: string }>(
      'select position from log_head',
    );
    const end = Number(last[0]?.position);
    const step = Math.ceil(end / Math.min(each, end));
    const past = '/_notary_server/v1';
    return [
      ...files.flatMap(({ gun, role, version, sha }) => {
        const below = `/v2/${gun}/_trust/tuf/`;
        return [`${role}.json`, `${version}.${role}.json`, `${role}.${sha}.json`].map(
          (file) => below + file,
        );
      }),
      ...guns.flatMap((gun) => [
        `/v2/${gun}/_trust/tuf/targets/nobody.json`,
        `/v2/${gun}/_trust/tuf/999999.root.json`,
        `/v2/${gun}/_trust/changefeed?records=1000`,
        `${past}/guns/${gun}/diff?from=0&to=${end}`,
        ...Array.from(
          { length: Math.floor(end / step) },
          (_, n) => `${past}/guns/${gun}/at/${(n + 1) * step}/timestamp.json`,
        ),
      ]),
      // where nothing is published, this is no read: a key is made
      ...alive.flatMap(({ gun }) =>
        ['timestamp', 'snapshot'].map((role) => `/v2/${gun}/_trust/tuf/${role}.key`),
      ),
      '/v2/nobody/has/this/_trust/tuf/root.json',
    ];
  });
}

/** Of all repositories together, up to the end of a log that does not grow meanwhile. */
export const PATHS_OF_ALL = [
  '/v2/_trust/changefeed?records=1000',
  '/v2/_trust/changefeed?records=-1000',
  '/v2/_trust/changefeed?change_id=2&records=3',
  '/_notary_server/v1/events?limit=1000',
  '/_notary_server/v1/expiring',
];

/** What a client sees of an answer, but for the clock of the server. */
export interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export function seen({ status, headers, body }: Answer): Seen {
  const { date: _, ...lasting } = headers;
  return { status, headers: lasting, body: body.toString('latin1') };
}

export async function answersTo(
  url: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, Seen>> {
  const answers = new Map<string, Seen>();
  for (const path of paths) answers.set(path, seen(await exchange('GET', url + path)));
  return answers;
}
