import { Client } from 'pg';
import type { Cluster } from '../cluster.ts';

/** A metafile that an event names. */
export interface LoggedFile {
  readonly role: string;
  readonly version: number;
  readonly sha256: string;
}

/** A row of `events`. */
export interface LoggedEvent {
  readonly position: number;
  readonly gun: string;
  readonly version: number;
  readonly type: string;
  readonly files: readonly LoggedFile[];
  /** Of a `KeyCreated`. */
  readonly key?: { readonly role: string; readonly keyid: string };
}

/** A key pair that the signers hold. */
export interface HeldKey {
  readonly keyid: string;
  readonly gun: string;
  readonly role: string;
  /** It has not signed yet, and is what the next who asks for a key is told. */
  readonly isPending: boolean;
}

/** Everything in the database, as SQL sees it. */
export interface Database {
  readonly events: readonly LoggedEvent[];
  /** Bytes by checksum. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly head: number;
  readonly checkpoint: number;
  /** One line per row: `GUN role version sha256 position`. */
  readonly metafiles: readonly string[];
  /** `id GUN version sha256 category position`. */
  readonly changefeed: readonly string[];
  /** `GUN role version`. */
  readonly expiries: readonly string[];
  readonly keys: readonly HeldKey[];
}

/** Everything that the server's database and the signers' hold. */
export async function readDatabase({
  databaseUrl,
  signerDatabaseUrl,
}: Pick<Cluster, 'databaseUrl' | 'signerDatabaseUrl'>): Promise<Database> {
  // The log first: a key is made before it is logged, so none can be missing that the log knows.
  const logged = await readLog(databaseUrl);
  return { ...logged, keys: await readKeys(signerDatabaseUrl) };
}

async function readKeys(url: string): Promise<HeldKey[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<HeldKey>(
      `select key_id as keyid, gun, private_keys.role, pending_keys.key_id is not null as "isPending"
       from private_keys left join pending_keys using (key_id)`,
    );
    return rows;
  } finally {
    await client.end();
  }
}

async function readLog(url: string): Promise<Omit<Database, 'keys'>> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    // One snapshot of all tables.
    await client.query('begin isolation level repeatable read read only');
    const events = await client.query<EventRow>(
      'select position, gun, version, type, data from events order by position',
    );
    const files = await client.query<{ sha256: string; bytes: Buffer }>(
      "select encode(sha256, 'hex') as sha256, bytes from files",
    );
    const [head, checkpoint] = await Promise.all(
      [`select position from log_head`, `select position from projections where live`].map(
        async (text) => {
          const { rows } = await client.query<{ position: string }>(text);
          return Number(rows[0]?.position);
        },
      ),
    );
    const lines = async (text: string) => {
      const { rows } = await client.query<{ line: string }>(text);
      return rows.map(({ line }) => line);
    };
    return {
      events: events.rows.map(loggedEvent),
      files: new Map(files.rows.map(({ sha256, bytes }) => [sha256, bytes])),
      head: head ?? -1,
      checkpoint: checkpoint ?? -1,
      metafiles: await lines(
        `select concat_ws(' ', gun, role, version, encode(sha256, 'hex'), position) as line
         from live_metafiles join (select distinct gun, gun_sha256 from events) as named using (gun_sha256)`,
      ),
      changefeed: await lines(
        `select concat_ws(' ', id, gun, version, coalesce(encode(sha256, 'hex'), '-'), category, position) as line
         from live_changefeed order by id`,
      ),
      expiries: await lines(
        `select concat_ws(' ', gun, role, version) as line from live_expiries where subject = 'metadata'`,
      ),
    };
  } finally {
    await client.end();
  }
}

interface EventRow {
  readonly position: string;
  readonly gun: string;
  readonly version: number;
  readonly type: string;
  readonly data: {
    readonly metafiles?: readonly { role: string; version: string; sha256: string }[];
    readonly role?: string;
    readonly keyid?: string;
  };
}

function loggedEvent({ position, gun, version, type, data }: EventRow): LoggedEvent {
  const files = (data.metafiles ?? []).map(({ role, version, sha256 }) => {
    return { role, version: Number(version), sha256 };
  });
  const { role, keyid } = data;
  return {
    position: Number(position),
    gun,
    version,
    type,
    files,
    ...(role !== undefined && keyid !== undefined && { key: { role, keyid } }),
  };
}
