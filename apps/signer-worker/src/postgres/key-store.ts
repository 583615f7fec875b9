import { createHash } from 'node:crypto';
import {
  MikroORM,
  UniqueConstraintViolationException,
  type EntityManager,
} from '@mikro-orm/postgresql';
import type { CreateKeyRequest, KeyStore } from '@scrivener/signing';
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
  /** Most connections to the database. */
  readonly connections?: number;
}

/** An unsealed key, and to whom it belongs. */
interface Held {
  readonly gun: string;
  readonly role: string;
  readonly key: ServerPrivateKey;
  /** Whether this process has seen to it that the key is not pending. */
  used: boolean;
}

/** A database that hangs must not hang the workers; in milliseconds. */
const CONNECT_TIMEOUT = 2_000;
const STATEMENT_TIMEOUT = 2_000;

const keyAlgorithm = z.enum(['ed25519', 'ecdsa']);

/** Keys in the signer's own database, sealed. */
export class PostgresKeyStore implements KeyStore {
  readonly #orm: MikroORM;
  readonly #sealer: Sealer;
  readonly #cache: LRUCache<KeyId, Held>;

  constructor({
    databaseUrl,
    sealer,
    cachedKeys = 10_000,
    connections = 10,
  }: PostgresKeyStoreOptions) {
    this.#sealer = sealer;
    this.#orm = new MikroORM({
      clientUrl: databaseUrl,
      entities: [PrivateKey, PendingKey],
      pool: { max: connections },
      driverOptions: {
        connectionTimeoutMillis: CONNECT_TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        query_timeout: STATEMENT_TIMEOUT + 500,
        keepAlive: true,
      },
    });
    this.#cache = new LRUCache({ max: cachedKeys, fetchMethod: (keyid) => this.#load(keyid) });
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
    const held = await this.#cache.fetch(keyid);
    return held?.gun === gun && held.role === role ? held.key : undefined;
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
    return { gun: row.gun, role: row.role, key, used: false };
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
