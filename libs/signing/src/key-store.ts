import type { Gun, KeyId, PublicKey, ServerPrivateKey, ServerRole } from '@scrivener/tuf';
import type { CreateKeyRequest } from './signer.ts';

/** A key, and what it was made for. */
export interface HeldKey {
  readonly gun: Gun;
  readonly role: ServerRole;
  readonly key: ServerPrivateKey;
}

/** A key that is there and cannot be read: asking again will not help, but a passphrase may. */
export class UnreadableKey extends Error {
  override readonly name: string = 'UnreadableKey';
}

/**
 * Where private keys live. Every method throws where the store cannot be reached or a key in it
 * cannot be read (`UnreadableKey`): that is trouble, and must never look like a key that is not there
 * (SIGNER §1.3, fault 6).
 */
export interface KeyStore {
  /** The pending key of that repository, role and algorithm: the one that has not signed yet. */
  findPending(request: CreateKeyRequest): Promise<PublicKey | undefined>;

  /**
   * Keeps a new key and makes it the pending one: both, or neither. `false`, and nothing kept, where
   * another is pending already. Durable once it answers `true`; if the answer gets lost the key may
   * be there, and `findPending` then tells it.
   */
  addPending(request: CreateKeyRequest, key: ServerPrivateKey): Promise<boolean>;

  /** The key of that id, if it was made for that repository and role; removal as for `findById`. */
  find(gun: Gun, role: ServerRole, keyid: KeyId): Promise<ServerPrivateKey | undefined>;

  /**
   * The key of that id, whatever it was made for: to be used only where the asker cannot say. A key
   * that another process removed is gone here within 30 s (SIGNER §1.3, fault 5).
   */
  findById(keyid: KeyId): Promise<HeldKey | undefined>;

  /**
   * Ends the pending state of keys that are about to sign; durable once it answers. Called for every
   * signature, so a store had better remember what it has done already.
   */
  markUsed(keyids: readonly KeyId[]): Promise<void>;

  /** Forgets a key for good, pending or not; does nothing where there is none. */
  remove(keyid: KeyId): Promise<void>;

  /** Throws where the store cannot be used now, or not yet. */
  check(): Promise<void>;

  close(): Promise<void>;
}
