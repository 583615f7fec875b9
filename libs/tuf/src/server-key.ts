import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import { encodeBase64 } from './base64.ts';
import { fromDerSignature } from './ecdsa-signature.ts';
import { P256_SPKI_HEAD } from './key-strength.ts';
import { keyId, type KeyId, type PublicKey, type ServerKeyAlgorithm } from './key.ts';
import type { Signature } from './server-roles.ts';

/**
 * A key that the server signs with. Its secret lies with OpenSSL, which overwrites it when the key is
 * collected; no copy stays in memory of ours.
 */
export interface ServerPrivateKey {
  readonly algorithm: ServerKeyAlgorithm;
  readonly publicKey: PublicKey;
  readonly keyid: KeyId;
  /** Of its signatures: `eddsa` or `ecdsa`. */
  readonly method: string;
  /**
   * SEC 1 DER for ecdsa; public key, seed and public key (96 bytes) for ed25519 (SIGNER §2.2). A copy
   * that is the caller's to overwrite.
   */
  readonly exportPrivate: () => Uint8Array;
  /** By ed25519 the same each time; by ecdsa another each time (ADR 0004). */
  readonly sign: (payload: Uint8Array) => Signature;
}

/** What tells one algorithm from another. A secret is the 32 bytes that everything follows from. */
interface KeyKind {
  readonly method: string;
  readonly generate: () => KeyObject;
  readonly fromSecret: (secret: Uint8Array) => KeyObject;
  /** As key downloads and metadata have it (WIRE §7.4). */
  readonly publicBytes: (key: KeyObject) => Uint8Array;
  readonly sign: (payload: Uint8Array, key: KeyObject) => Uint8Array;
  readonly pack: (key: KeyObject) => Uint8Array;
  /** Where the secret stands in packed bytes. */
  readonly secretAt: number;
}

/** PrivateKeyInfo of RFC 8410, up to the secret. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** ECPrivateKey of RFC 5915 with curve and public key, cut where secret and point stand. */
const SEC1_HEAD = Buffer.from('30770201010420', 'hex');
const SEC1_MIDDLE = Buffer.from('a00a06082a8648ce3d030107a144034200', 'hex');

const KINDS: Readonly<Record<ServerKeyAlgorithm, KeyKind>> = {
  ed25519: {
    method: 'eddsa',
    generate: () => generateKeyPairSync('ed25519').privateKey,
    fromSecret: ed25519Key,
    publicBytes: ed25519Point,
    sign: (payload, key) => sign(null, payload, key),
    pack: packEd25519,
    secretAt: 32,
  },
  ecdsa: {
    method: 'ecdsa',
    generate: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    fromSecret: p256Key,
    publicBytes: p256PublicBytes,
    sign: (payload, key) => fromDerSignature(sign('sha256', payload, key), 32),
    pack: (key) => key.export({ format: 'der', type: 'sec1' }),
    secretAt: SEC1_HEAD.length,
  },
};

export function generateServerKey(algorithm: ServerKeyAlgorithm): ServerPrivateKey {
  return serverKeyOf(algorithm, KINDS[algorithm].generate());
}

/** The key that `exportPrivate` gave. Throws `RangeError` where the bytes are not such a key. */
export function importServerKey(
  algorithm: ServerKeyAlgorithm,
  privateBytes: Uint8Array,
): ServerPrivateKey {
  const { secretAt, fromSecret, pack } = KINDS[algorithm];
  try {
    const key = fromSecret(privateBytes.subarray(secretAt, secretAt + 32));
    // Packing it again finds a public half that is another key's, or bytes too many.
    if (isPacked(pack(key), privateBytes)) return serverKeyOf(algorithm, key);
  } catch (error) {
    throw new RangeError(`not an ${algorithm} private key`, { cause: error });
  }
  throw new RangeError(`not an ${algorithm} private key`);
}

/** The key with that secret: 32 bytes, below the order of the curve for ecdsa. */
export function serverKey(algorithm: ServerKeyAlgorithm, secret: Uint8Array): ServerPrivateKey {
  return serverKeyOf(algorithm, KINDS[algorithm].fromSecret(secret));
}

function serverKeyOf(algorithm: ServerKeyAlgorithm, key: KeyObject): ServerPrivateKey {
  const kind = KINDS[algorithm];
  const { method } = kind;
  const publicKey = { keytype: algorithm, public: encodeBase64(kind.publicBytes(key)) };
  const keyid = keyId(publicKey);
  return {
    algorithm,
    publicKey,
    keyid,
    method,
    exportPrivate: () => kind.pack(key),
    sign: (payload) => ({ keyid, method, sig: encodeBase64(kind.sign(payload, key)) }),
  };
}

/** Whether both are the same bytes; the first, a private key, is overwritten. */
function isPacked(packed: Uint8Array, privateBytes: Uint8Array): boolean {
  const same = Buffer.from(packed.buffer, packed.byteOffset, packed.length).equals(privateBytes);
  packed.fill(0);
  return same;
}

function ed25519Key(secret: Uint8Array): KeyObject {
  return withSecret([PKCS8_ED25519, secret], (key) =>
    createPrivateKey({ key, format: 'der', type: 'pkcs8' }),
  );
}

function ed25519Point(key: KeyObject): Uint8Array {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}

function packEd25519(key: KeyObject): Uint8Array {
  const point = ed25519Point(key);
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
  const packed = Buffer.concat([point, pkcs8.subarray(-32), point]);
  pkcs8.fill(0);
  return packed;
}

/** SEC 1 holds the public half as well, which follows from the secret. */
function p256Key(secret: Uint8Array): KeyObject {
  const curve = createECDH('prime256v1');
  curve.setPrivateKey(secret);
  return withSecret([SEC1_HEAD, secret, SEC1_MIDDLE, curve.getPublicKey()], (key) =>
    createPrivateKey({ key, format: 'der', type: 'sec1' }),
  );
}

/** Node writes a JWK in a third of the time that OpenSSL needs for DER. */
function p256PublicBytes(key: KeyObject): Uint8Array {
  const { x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  const coordinates = [x, y].map((text) => Buffer.from(text, 'base64url'));
  return Buffer.concat([P256_SPKI_HEAD, ...coordinates]);
}

/** Reads a key from bytes that are overwritten afterwards. */
function withSecret(parts: readonly Uint8Array[], read: (bytes: Buffer) => KeyObject): KeyObject {
  const bytes = Buffer.concat(parts);
  try {
    return read(bytes);
  } finally {
    bytes.fill(0);
  }
}
