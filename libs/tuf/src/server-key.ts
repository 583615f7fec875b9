import type { KeyId, PublicKey, ServerKeyAlgorithm } from './key.ts';
import type { Signature } from './server-roles.ts';

/** A key that the server signs with. Signatures are deterministic: the same bytes each time. */
export interface ServerPrivateKey {
  readonly algorithm: ServerKeyAlgorithm;
  readonly publicKey: PublicKey;
  readonly keyid: KeyId;
  /** Of its signatures: `eddsa` or `ecdsa`. */
  readonly method: string;
  /** SEC 1 DER for ecdsa; public key, seed and public key (96 bytes) for ed25519 (SIGNER §2.2). */
  exportPrivate(): Uint8Array;
  sign(payload: Uint8Array): Signature;
}

export function generateServerKey(_algorithm: ServerKeyAlgorithm): ServerPrivateKey {
  throw new Error('not written yet');
}

/** The key that `exportPrivate` gave. Throws `RangeError` where the bytes are not such a key. */
export function importServerKey(
  _algorithm: ServerKeyAlgorithm,
  _privateBytes: Uint8Array,
): ServerPrivateKey {
  throw new Error('not written yet');
}
