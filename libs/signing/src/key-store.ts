import type { Gun, KeyId, PublicKey, ServerPrivateKey, ServerRole } from '@scrivener/tuf';
import type { CreateKeyRequest } from './signer.ts';

/**
 * Where private keys live. Every method throws where the store cannot be reached or a key in it
 * cannot be read: that is trouble, and must never look like a key that is not there (SIGNER §1.3,
 * fault 6).
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

  /** The key of that id, if it was made for that repository and role. */
  find(gun: Gun, role: ServerRole, keyid: KeyId): Promise<ServerPrivateKey | undefined>;

  /**
   * Ends the pending state of keys that are about to sign; durable once it answers. Called for every
   * signature, so a store had better remember what it has done already.
   */
  markUsed(keyids: readonly KeyId[]): Promise<void>;

  close(): Promise<void>;
}
