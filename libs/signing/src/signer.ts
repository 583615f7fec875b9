import type {
  Gun,
  PublicKey,
  ServerKeyAlgorithm,
  ServerRole,
  ServerSignatures,
  SigningRequest,
} from '@scrivener/tuf';

/** Which key is wanted. */
export interface CreateKeyRequest {
  readonly gun: Gun;
  readonly role: ServerRole;
  readonly algorithm: ServerKeyAlgorithm;
}

/**
 * - `UNKNOWN_KEY`: no key with that id for that repository and role; asking again will not help
 * - `REFUSED`: the signer will not do this; asking again will not help
 * - `TOO_LARGE`: more than the signer takes in one request; asking again will not help
 * - `UNAVAILABLE`: no answer in time; nothing is known, and asking again is safe
 */
export type SigningErrorCode = 'UNKNOWN_KEY' | 'REFUSED' | 'TOO_LARGE' | 'UNAVAILABLE';

export class SigningError extends Error {
  override readonly name = 'SigningError';
  readonly code: SigningErrorCode;

  constructor(code: SigningErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whoever holds the private keys. Both questions are safe to repeat. */
export interface Signer {
  /**
   * The public half of a key for this repository and role that has not signed yet; made now where
   * there is none (SIGNER §2.5). So the same question gives the same key until that key has signed,
   * however many ask at once. Throws `SigningError`.
   */
  createKey(request: CreateKeyRequest): Promise<PublicKey>;

  /**
   * Signatures for the snapshot and the timestamp of one publish. Asked again, it may give others
   * that are as good: those of ecdsa differ each time (ADR 0004). Only keys made for that repository
   * and role sign. Throws `SigningError`.
   */
  sign(request: SigningRequest): Promise<ServerSignatures>;

  close(): Promise<void>;
}
