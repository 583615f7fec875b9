import { createHash } from 'node:crypto';
import { MikroORM } from '@mikro-orm/postgresql';
import {
  gatherQuestions,
  type CreateKeyRequest,
  type HeldKey,
  type KeyStore,
} from '@scrivener/signing';
import {
  importServerKey,
  type Gun,
  type KeyId,
  type PublicKey,
  type ServerPrivateKey,
  type ServerRole,
} from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import type { ClientBase } from 'pg';
import { z } from 'zod';
import { SealError, type SealedKey, type Sealer } from '../seal.ts';
import { PendingKey, PrivateKey } from './entities.ts';

export interface PostgresKeyStoreOptions {
  readonly databaseUrl: string;
  readonly sealer: Sealer;
  /** Most unsealed keys to hold in memory; unsealing one costs a millisecond or more. */
  readonly cachedKeys?: number;
  /** How long an unsealed key is believed in after it was last seen in the database, in milliseconds. */
  readonly believedFor?: number;
  /** Most connections to the database. */
  readonly connections?: number;
}

/** An unsealed key. */
interface Held extends HeldKey {
  /** Whether this process has seen to it that the key is not pending. */
  used: boolean;
}

/** A database that hangs must not hang the workers; in milliseconds. */
const CONNECT_TIMEOUT = 2_000;
const STATEMENT_TIMEOUT = 2_000;
/** How long an unused connection is kept; in milliseconds. */
const IDLE = 60_000;

/** Some 3 KB each. */
const CACHED_KEYS = 20_000;

/**
 * A key that another worker removed goes on signing here for at most that long. Also how long a
 * database may be away, say while it fails over, before keys in use cannot sign any more.
 */
const BELIEVED_FOR = 30_000;

/**
 * Jobs come in batches, and what all of them want of the database is asked in one go: alone at once,
 * together while another go is under way. One that hangs keeps the others waiting for 250 ms.
 */
const GOES = { underWay: 2, most: 256, patience: 250 } as const;

/** A row, sealed. */
const sealedRow = z.object({
  gun: z.custom<Gun>((value) => typeof value === 'string' && value !== ''),
  role: z.enum(['snapshot', 'timestamp']),
  algorithm: z.enum(['ed25519', 'ecdsa']),
  passphrase_alias: z.string(),
  private: z.string(),
  used: z.boolean(),
});
/** Of each is known which key it is; what else is wrong with one does not harm the others. */
const keyIds = z.array(z.looseObject({ key_id: z.string() }));
type Row = z.output<typeof keyIds>[number];
const pendingRows = z.array(
  z.object({ nth: z.int(), algorithm: z.string(), public: z.instanceof(Uint8Array) }),
);

/** A statement that each connection prepares once, under its name: planning costs more than to run it. */
interface Statement {
  readonly name: string;
  readonly text: string;
}

/*
 * Planned once, for Postgres would plan again each time where few keys are asked for. A plan that was made
 * while a table was small is still used when it is large: so each statement finds its rows by an index,
 * one look for each key, whatever the planner thinks of joins and of reading it all.
 */
const SESSION = `set plan_cache_mode = force_generic_plan; set enable_seqscan = off;
  set statement_timeout = ${STATEMENT_TIMEOUT}`;

const FIND: Statement = {
  name: 'find keys',
  text: `
    select key_id, gun, role, algorithm, passphrase_alias, private,
      (select pending.key_id from pending_keys pending where pending.key_id = key.key_id) is null as used
    from private_keys key
    where key_id = any ($1::text[])`,
};

const THERE: Statement = {
  name: 'are keys there',
  text: 'select key_id from private_keys where key_id = any ($1::text[])',
};

const FIND_PENDING: Statement = {
  name: 'find pending keys',
  text: `
    select asked.nth::int, found.algorithm, found.public
    from unnest($1::bytea[], $2::text[], $3::text[])
      with ordinality as asked (gun_sha256, role, algorithm, nth)
    cross join lateral (
      select key.algorithm, key.public
      from pending_keys pending
      cross join lateral (
        select * from private_keys where private_keys.key_id = pending.key_id offset 0
      ) as key
      where pending.gun_sha256 = asked.gun_sha256 and pending.role = asked.role
        and pending.algorithm = asked.algorithm
      offset 0
    ) as found`,
};

/** All take the entries of the index in one order, or two workers could wait for each other. */
const ADD_PENDING: Statement = {
  name: 'add pending keys',
  text: `
    with asked as (
      select * from unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[])
        as asked (key_id, gun, gun_sha256, role, algorithm, passphrase_alias, public, private)
    ), pending as (
      insert into pending_keys (gun_sha256, role, algorithm, key_id)
      select gun_sha256, role, algorithm, key_id from asked order by gun_sha256, role, algorithm
      on conflict do nothing
      returning key_id
    )
    insert into private_keys (key_id, gun, role, algorithm, passphrase_alias, public, private)
    select key_id, gun, role, algorithm, passphrase_alias, public, private
    from asked join pending using (key_id)
    returning key_id`,
};

const MARK_USED: Statement = {
  name: 'mark keys used',
  text: 'delete from pending_keys where key_id = any ($1::text[])',
};

const REMOVE: Statement = {
  name: 'remove key',
  text: `
    with pending as (delete from pending_keys where key_id = $1)
    delete from private_keys where key_id = $1`,
};

/** Throws where a table is not there (yet), or may not be read. */
const CHECK: Statement = {
  name: 'check tables',
  text: `
    select key_id from private_keys where key_id = ''
    union all select key_id from pending_keys where key_id = ''`,
};

/** What `addPending` puts down, the secret sealed. */
interface NewKey {
  readonly request: CreateKeyRequest;
  readonly key: ServerPrivateKey;
  readonly sealed: SealedKey;
}

/** Keys in the signer's own database, sealed. */
export class PostgresKeyStore implements KeyStore {
  readonly #orm: MikroORM;
  readonly #sealer: Sealer;
  readonly #cache: LRUCache<KeyId, Held>;
  readonly #row = gatherQuestions((keyids: readonly KeyId[]) => this.#rows(keyids), GOES);
  readonly #isThere = gatherQuestions((keyids: readonly KeyId[]) => this.#areThere(keyids), GOES);
  readonly #pending = gatherQuestions(
    (requests: readonly CreateKeyRequest[]) => this.#findAllPending(requests),
    GOES,
  );
  readonly #add = gatherQuestions((keys: readonly NewKey[]) => this.#addAll(keys), GOES);
  readonly #use = gatherQuestions((keyids: readonly KeyId[]) => this.#useAll(keyids), GOES);

  constructor({
    databaseUrl,
    sealer,
    cachedKeys = CACHED_KEYS,
    believedFor = BELIEVED_FOR,
    connections = 10,
  }: PostgresKeyStoreOptions) {
    this.#sealer = sealer;
    this.#orm = new MikroORM({
      clientUrl: databaseUrl,
      entities: [PrivateKey, PendingKey],
      pool: { max: connections, idleTimeoutMillis: IDLE },
      driverOptions: {
        // MikroORM takes from it all but what it says about TLS
        connectionString: databaseUrl,
        connectionTimeoutMillis: CONNECT_TIMEOUT,
        // by a statement: poolers refuse options of a session that they do not know
        onConnect: (client: Pick<ClientBase, 'query'>) => client.query(SESSION),
        query_timeout: STATEMENT_TIMEOUT + 500,
        keepAlive: true,
        keepAliveInitialDelayMillis: 1_000, // the default of Linux is two hours
      },
    });
    this.#cache = new LRUCache({
      max: cachedKeys,
      ttl: believedFor,
      noDeleteOnFetchRejection: true,
      fetchMethod: async (keyid, old) => {
        if (old === undefined) return this.#load(keyid);
        // Costs a look at an index, where unsealing anew would cost a millisecond of computing.
        return (await this.#isThere(keyid)) ? old : undefined;
      },
    });
  }

  /** Throws where the database cannot be used (yet): not there, no tables, no rights. */
  async check(): Promise<void> {
    await this.#query(CHECK);
  }

  async findPending(request: CreateKeyRequest): Promise<PublicKey | undefined> {
    return this.#pending(request);
  }

  async addPending(request: CreateKeyRequest, key: ServerPrivateKey): Promise<boolean> {
    const secret = key.exportPrivate();
    const sealed = await this.#sealer.seal(secret).finally(() => secret.fill(0));
    const added = await this.#add({ request, key, sealed });
    // The first publish of a repository follows soon, and spares itself the unsealing.
    if (added) {
      const { gun, role } = request;
      this.#cache.set(key.keyid, { gun, role, key, used: false });
    }
    return added;
  }

  async find(gun: Gun, role: ServerRole, keyid: KeyId): Promise<ServerPrivateKey | undefined> {
    const held = await this.findById(keyid);
    return held?.gun === gun && held.role === role ? held.key : undefined;
  }

  async findById(keyid: KeyId): Promise<HeldKey | undefined> {
    return this.#cache.fetch(keyid);
  }

  async markUsed(keyids: readonly KeyId[]): Promise<void> {
    const news = keyids.filter((keyid) => this.#cache.peek(keyid)?.used !== true);
    await Promise.all(news.map((keyid) => this.#use(keyid)));
  }

  async remove(keyid: KeyId): Promise<void> {
    await this.#query(REMOVE, [keyid]);
    this.#cache.delete(keyid);
  }

  /** How the pool of connections is doing. */
  async poolCounts(): Promise<{ connections: number; idle: number; waiting: number }> {
    const { totalCount: connections, idleCount: idle, waitingCount: waiting } = await this.#pool();
    return { connections, idle, waiting };
  }

  async close(): Promise<void> {
    await this.#orm.close(true);
  }

  async #load(keyid: KeyId): Promise<Held | undefined> {
    const row = await this.#row(keyid);
    if (row === undefined) return undefined;
    const { gun, role, algorithm, used, ...sealed } = sealedRow.parse(row);
    const { passphrase_alias: alias, private: jwe } = sealed;
    const secret = await this.#sealer.unseal({ alias, jwe });
    const key = importServerKey(algorithm, secret);
    secret.fill(0);
    if (key.keyid !== keyid) {
      throw new SealError('SEAL_BROKEN', `what is sealed as key ${keyid} is another key`);
    }
    return { gun, role, key, used };
  }

  async #rows(keyids: readonly KeyId[]): Promise<(Row | undefined)[]> {
    const rows = keyIds.parse(await this.#query(FIND, [keyids]));
    const byId = new Map(rows.map((row) => [row.key_id, row]));
    return keyids.map((keyid) => byId.get(keyid));
  }

  async #areThere(keyids: readonly KeyId[]): Promise<boolean[]> {
    return among(await this.#query(THERE, [keyids]), keyids);
  }

  async #findAllPending(requests: readonly CreateKeyRequest[]): Promise<(PublicKey | undefined)[]> {
    const found: (PublicKey | undefined)[] = requests.map(() => undefined);
    const rows = await this.#query(FIND_PENDING, [
      requests.map(({ gun }) => digest(gun)),
      requests.map(({ role }) => role),
      requests.map(({ algorithm }) => algorithm),
    ]);
    for (const { nth, algorithm, public: bytes } of pendingRows.parse(rows)) {
      found[nth - 1] = { keytype: algorithm, public: Buffer.from(bytes).toString('base64') };
    }
    return found;
  }

  /** Each is kept and pending, or neither; of several for one place the first. */
  async #addAll(keys: readonly NewKey[]): Promise<boolean[]> {
    const ids = keys.map(({ key }) => key.keyid);
    const rows = await this.#query(ADD_PENDING, [
      ids,
      keys.map(({ request }) => request.gun),
      keys.map(({ request }) => digest(request.gun)),
      keys.map(({ request }) => request.role),
      keys.map(({ request }) => request.algorithm),
      keys.map(({ sealed }) => sealed.alias),
      keys.map(({ key }) => Buffer.from(key.publicKey.public, 'base64')),
      keys.map(({ sealed }) => sealed.jwe),
    ]);
    return among(rows, ids);
  }

  async #useAll(keyids: readonly KeyId[]): Promise<true[]> {
    await this.#query(MARK_USED, [keyids]);
    return keyids.map((keyid) => {
      const held = this.#cache.peek(keyid);
      if (held !== undefined) held.used = true;
      return true;
    });
  }

  async #query(statement: Statement, values: readonly unknown[] = []): Promise<unknown[]> {
    try {
      const pool = await this.#pool();
      const { rows } = await pool.query<Record<string, unknown>>({
        ...statement,
        values: [...values],
      });
      return rows;
    } catch (error) {
      throw withoutValues(error);
    }
  }

  #pool() {
    return this.#orm.em.getDriver().getConnection().getNativeClient();
  }
}

/** Which of these ids the rows name. */
function among(rows: unknown, keyids: readonly KeyId[]): boolean[] {
  const named = new Set(keyIds.parse(rows).map((row) => row.key_id));
  return keyids.map((keyid) => named.has(keyid));
}

/** Postgres' own first line: what follows it shows the values of a row, sealed keys among them. */
function withoutValues(error: unknown): Error {
  const [said] = error instanceof Error ? error.message.split('\n', 1) : [];
  return new Error(`the key database failed: ${said ?? 'it does not say why'}`);
}

function digest(gun: Gun): Buffer {
  return createHash('sha256').update(gun).digest();
}
