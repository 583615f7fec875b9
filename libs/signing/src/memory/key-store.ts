import type { Gun, KeyId, PublicKey, ServerPrivateKey, ServerRole } from '@scrivener/tuf';
import type { HeldKey, KeyStore } from '../key-store.ts';
import type { CreateKeyRequest } from '../signer.ts';

/** Keys in this process, gone when it ends. */
export class MemoryKeyStore implements KeyStore {
  readonly #held = new Map<KeyId, HeldKey>();
  readonly #pending = new Map<string, ServerPrivateKey>();
  /** The entry of `#pending` that a key takes. */
  readonly #pendingAs = new Map<KeyId, string>();

  async findPending(request: CreateKeyRequest): Promise<PublicKey | undefined> {
    return this.#pending.get(question(request))?.publicKey;
  }

  async addPending(request: CreateKeyRequest, key: ServerPrivateKey): Promise<boolean> {
    const asked = question(request);
    if (this.#pending.has(asked)) return false;
    this.#pending.set(asked, key);
    this.#pendingAs.set(key.keyid, asked);
    this.#held.set(key.keyid, { gun: request.gun, role: request.role, key });
    return true;
  }

  async find(gun: Gun, role: ServerRole, keyid: KeyId): Promise<ServerPrivateKey | undefined> {
    const held = this.#held.get(keyid);
    return held?.gun === gun && held.role === role ? held.key : undefined;
  }

  async findById(keyid: KeyId): Promise<HeldKey | undefined> {
    return this.#held.get(keyid);
  }

  async markUsed(keyids: readonly KeyId[]): Promise<void> {
    for (const keyid of keyids) {
      const asked = this.#pendingAs.get(keyid);
      if (asked === undefined) continue;
      this.#pending.delete(asked);
      this.#pendingAs.delete(keyid);
    }
  }

  async remove(keyid: KeyId): Promise<void> {
    await this.markUsed([keyid]);
    this.#held.delete(keyid);
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {}
}

function question({ gun, role, algorithm }: CreateKeyRequest): string {
  return JSON.stringify([gun, role, algorithm]);
}
