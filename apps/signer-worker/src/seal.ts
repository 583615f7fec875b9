import { createCipheriv, createSecretKey, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { UnreadableKey } from '@scrivener/signing';
import { compactDecrypt } from 'jose';

/**
 * - `NO_PASSPHRASE`: the environment has no passphrase for the alias a key is sealed under
 * - `SEAL_BROKEN`: the passphrase does not open the seal, or what is inside is not that key
 */
export type SealErrorCode = 'NO_PASSPHRASE' | 'SEAL_BROKEN';

/** A key that is there and cannot be used. */
export class SealError extends UnreadableKey {
  override readonly name = 'SealError';
  readonly code: SealErrorCode;

  constructor(code: SealErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** PBKDF2 rounds of a new seal, as in the old Signer (SIGNER §2.3). */
const ROUNDS = 8192;
/** Most rounds that a seal may ask for; more would only keep us busy. */
const MAX_ROUNDS = 1_000_000;

const ALGORITHM = 'PBES2-HS256+A128KW';
const ENCRYPTION = 'A256GCM';

const derive = promisify(pbkdf2);
/** RFC 3394 §2.2.3.1. */
const WRAP_IV = Buffer.alloc(8, 0xa6);

/** A private key as it lies in the database. */
export interface SealedKey {
  /** Which passphrase opens it. */
  readonly alias: string;
  /** JWE in compact form; the payload is the private key's raw bytes (SIGNER §2.2). */
  readonly jwe: string;
}

/** Encrypts private keys at rest, under passphrases that are found by their alias. */
export interface Sealer {
  /** Under the default alias. */
  seal(privateKey: Uint8Array): Promise<SealedKey>;
  /** Throws `SealError`. */
  unseal(sealed: SealedKey): Promise<Uint8Array>;
}

/**
 * The passphrase of an alias is in the environment: `NOTARY_SIGNER_` and the alias in upper case
 * (SIGNER §2.4). Throws `SealError` at once where the default alias has none.
 */
export function createSealer(
  environment: Readonly<Record<string, string | undefined>>,
  defaultAlias: string,
): Sealer {
  const passphrase = (alias: string): Uint8Array => {
    const variable = `NOTARY_SIGNER_${alias.toUpperCase()}`;
    const value = environment[variable];
    if (value !== undefined && value !== '') return new TextEncoder().encode(value);
    throw new SealError(
      'NO_PASSPHRASE',
      `no passphrase for the key alias "${alias}": set the environment variable ${variable}`,
    );
  };
  passphrase(defaultAlias);
  return {
    seal: async (privateKey) => {
      const jwe = await encrypt(privateKey, passphrase(defaultAlias));
      return { alias: defaultAlias, jwe };
    },
    unseal: async ({ alias, jwe }) => {
      const secret = passphrase(alias);
      try {
        const { plaintext } = await compactDecrypt(jwe, secret, {
          keyManagementAlgorithms: [ALGORITHM],
          contentEncryptionAlgorithms: [ENCRYPTION],
          maxPBES2Count: MAX_ROUNDS,
        });
        return plaintext;
      } catch (error) {
        throw new SealError(
          'SEAL_BROKEN',
          `the passphrase of the alias "${alias}" does not open a key sealed under it`,
          { cause: error },
        );
      }
    },
  };
}

/**
 * A JWE in compact form (RFC 7516 §7.1, RFC 7518 §4.8). `jose` takes six trips to other threads for
 * that, which cost about as much as half the rounds; only the rounds are worth one.
 */
async function encrypt(payload: Uint8Array, passphrase: Uint8Array): Promise<string> {
  const salt = randomBytes(16);
  const protectedHeader = {
    alg: ALGORITHM,
    enc: ENCRYPTION,
    p2c: ROUNDS,
    p2s: salt.toString('base64url'),
  };
  const header = Buffer.from(JSON.stringify(protectedHeader)).toString('base64url');
  const saltInput = Buffer.concat([Buffer.from(`${ALGORITHM}\0`), salt]);
  const wrappingKey = await derive(passphrase, saltInput, ROUNDS, 16, 'sha256');

  const contentKey = randomBytes(32);
  const iv = randomBytes(12);
  // As key objects: Node finds out that bytes are none by an error, which costs more than to encrypt this.
  const wrap = createCipheriv('aes128-wrap', createSecretKey(wrappingKey), WRAP_IV);
  const wrapped = Buffer.concat([wrap.update(contentKey), wrap.final()]);
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(contentKey), iv);
  cipher.setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
  wrappingKey.fill(0);
  contentKey.fill(0);
  const parts = [wrapped, iv, ciphertext, cipher.getAuthTag()];
  return [header, ...parts.map((part) => part.toString('base64url'))].join('.');
}
