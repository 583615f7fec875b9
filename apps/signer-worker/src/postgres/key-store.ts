import { createHash } from 'node:crypto';
import {
  MikroORM,
  UniqueConstraintViolationException,
  type EntityManager,
} from '@mikro-orm/postgresql';
import type { CreateKeyRequest, HeldKey, KeyStore } from '@scrivener/signing';
import {
  importServerKey,
  type Gun,
  type KeyId,
  type PublicKey,
  type ServerPrivateKey,
  type ServerRole,
} from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { SealError, type Sealer } from '../seal.ts';
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

/**
 * A key that another worker removed goes on signing here for at most that long. Also how long a
 * database may be away, say while it fails over, before keys in use cannot sign any more.
 */
const BELIEVED_FOR = 30_000;

const keyAlgorithm = z.enum(['ed25519', 'ecdsa']);
const heldRole = z.enum(['snapshot', 'timestamp']);
const heldGun = z.custom<Gun>((value) => typeof value === 'string' && value !== '');

/** Keys in the signer's own database, sealed. */
export class PostgresKeyStore implements KeyStore {
  readonly #orm: MikroORM;
  readonly #sealer: Sealer;
  readonly #cache: LRUCache<KeyId, Held>;

  constructor({
    databaseUrl,
    sealer,
    cachedKeys = 10_000,
    believedFor = BELIEVED_FOR,
    connections = 10,
  }: PostgresKeyStoreOptions) {
    this.#sealer = sealer;
    this.#orm = new MikroORM({
      clientUrl: databaseUrl,
      entities: [PrivateKey, PendingKey],
      pool: { max: connections },
      driverOptions: {
        // MikroORM takes from it all but what it says about TLS
        connectionString: databaseUrl,
        connectionTimeoutMillis: CONNECT_TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        query_timeout: STATEMENT_TIMEOUT + 500,
        keepAlive: true,
      },
    });
    this.#cache = new LRUCache({
      max: cachedKeys,
      ttl: believedFor,
      noDeleteOnFetchRejection: true,
      fetchMethod: async (keyid, old) =>
        old === undefined ? this.#load(keyid) : this.#stillThere(old),
    });
  }

  /** Throws where the database cannot be used (yet): not there, no tables, no rights. */
  async check(): Promise<void> {
    await this.#query((em) => em.findOne(PendingKey, { keyId: '' }));
  }

  async findPending({ gun, role, algorithm }: CreateKeyRequest): Promise<PublicKey | undefined> {
    const row = await this.#query(async (em) => {
      const pending = await em.findOne(PendingKey, {
        gunSha256: digest(gun),
        role,
        algorithm,
      });
      return pending && em.findOneOrFail(PrivateKey, { keyId: pending.keyId });
    });
    if (row === null) return undefined;
    return { keytype: row.algorithm, public: Buffer.from(row.public).toString('base64') };
  }

  async addPending(
    { gun, role, algorithm }: CreateKeyRequest,
    key: ServerPrivateKey,
  ): Promise<boolean> {
    const { alias, jwe } = await this.#sealer.seal(key.exportPrivate());
    const bytes = Buffer.from(key.publicKey.public, 'base64');
    const add = async (em: EntityManager) => {
      await em.insert(PrivateKey, {
        keyId: key.keyid,
        gun,
        role,
        algorithm,
        passphraseAlias: alias,
        public: bytes,
        private: jwe,
      });
      await em.insert(PendingKey, {
        gunSha256: digest(gun),
        role,
        algorithm,
        keyId: key.keyid,
      });
    };
    const added = await this.#query((em) =>
      em.transactional(add).then(
        () => true,
        (error: unknown) => {
          if (error instanceof UniqueConstraintViolationException) return false;
          throw error;
        },
      ),
    );
    // The first publish of a repository follows soon, and spares itself the unsealing.
    if (added) this.#cache.set(key.keyid, { gun, role, key, used: false });
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
    if (news.length === 0) return;
    await this.#query((em) => em.nativeDelete(PendingKey, { keyId: { $in: news } }));
    for (const keyid of news) {
      const held = this.#cache.peek(keyid);
      if (held !== undefined) held.used = true;
    }
  }

  async remove(keyid: KeyId): Promise<void> {
    await this.#query((em) =>
      em.transactional(async (em) => {
        await em.nativeDelete(PendingKey, { keyId: keyid });
        await em.nativeDelete(PrivateKey, { keyId: keyid });
      }),
    );
    this.#cache.delete(keyid);
  }

  /** How the pool of connections is doing. */
  async poolCounts(): Promise<{ connections: number; idle: number; waiting: number }> {
    const pool = await this.#orm.em.getDriver().getConnection().getNativeClient();
    const { totalCount: connections, idleCount: idle, waitingCount: waiting } = pool;
    return { connections, idle, waiting };
  }

  async close(): Promise<void> {
    await this.#orm.close(true);
  }

  async #load(keyid: KeyId): Promise<Held | undefined> {
    const row = await this.#query((em) => em.findOne(PrivateKey, { keyId: keyid }));
    if (row === null) return undefined;
    const privateKey = await this.#sealer.unseal({ alias: row.passphraseAlias, jwe: row.private });
    const key = importServerKey(keyAlgorithm.parse(row.algorithm), privateKey);
    if (key.keyid !== keyid) {
      throw new SealError('SEAL_BROKEN', `what is sealed as key ${keyid} is another key`);
    }
    return { gun: heldGun.parse(row.gun), role: heldRole.parse(row.role), key, used: false };
  }

  /** Costs a look at an index, where unsealing anew would cost a millisecond of computing. */
  async #stillThere(held: Held): Promise<Held | undefined> {
    const { keyid } = held.key;
    const rows = await this.#query((em) => em.count(PrivateKey, { keyId: keyid }));
    return rows > 0 ? held : undefined;
  }

  async #query<Value>(work: (em: EntityManager) => Promise<Value>): Promise<Value> {
    try {
      return await work(this.#orm.em.fork());
    } catch (error) {
      throw withoutValues(error);
    }
  }
}

/** Postgres' own first line: what follows it shows the values of a row, sealed keys among them. */
function withoutValues(error: unknown): Error {
  const [said] = error instanceof Error ? error.message.split('\n', 1) : [];
  return new Error(`the key database failed: ${said ?? 'it does not say why'}`);
}

function digest(gun: Gun): Buffer {
  return createHash('sha256').update(gun).digest();
}
