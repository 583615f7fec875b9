import { createPrivateKey } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { encodeBase64 } from './base64.ts';
import { keyId, type KeyId, type PublicKey, type ServerKeyAlgorithm } from './key.ts';
import type { Signature } from './server-roles.ts';

/** A key that the server signs with. Signatures are deterministic: the same bytes each time. */
export interface ServerPrivateKey {
  readonly algorithm: ServerKeyAlgorithm;
  readonly publicKey: PublicKey;
  readonly keyid: KeyId;
  /** Of its signatures: `eddsa` or `ecdsa`. */
  readonly method: string;
  /** SEC 1 DER for ecdsa; public key, seed and public key (96 bytes) for ed25519 (SIGNER §2.2). */
  readonly exportPrivate: () => Uint8Array;
  readonly sign: (payload: Uint8Array) => Signature;
}

/** What tells one algorithm from another. A secret is the 32 bytes that everything follows from. */
interface KeyKind {
  readonly method: string;
  readonly newSecret: () => Uint8Array;
  /** As key downloads and metadata have it (WIRE §7.4). */
  readonly publicBytes: (secret: Uint8Array) => Uint8Array;
  readonly sign: (payload: Uint8Array, secret: Uint8Array) => Uint8Array;
  readonly pack: (secret: Uint8Array) => Uint8Array;
  /** Throws where the bytes are no such key. */
  readonly unpack: (privateBytes: Uint8Array) => Uint8Array;
}

const KINDS: Readonly<Record<ServerKeyAlgorithm, KeyKind>> = {
  ed25519: {
    method: 'eddsa',
    newSecret: () => ed25519.utils.randomSecretKey(),
    publicBytes: (secret) => ed25519.getPublicKey(secret),
    sign: (payload, secret) => ed25519.sign(payload, secret),
    pack: packEd25519,
    unpack: (privateBytes) => privateBytes.slice(32, 64),
  },
  ecdsa: {
    method: 'ecdsa',
    newSecret: () => p256.utils.randomSecretKey(),
    publicBytes: (secret) => Buffer.concat([SPKI_P256, p256.getPublicKey(secret, false)]),
    // RFC 6979 knows no low s: its vectors have both halves.
    sign: (payload, secret) => p256.sign(payload, secret, { lowS: false }),
    pack: packSec1,
    unpack: unpackSec1,
  },
};

export function generateServerKey(algorithm: ServerKeyAlgorithm): ServerPrivateKey {
  return serverKey(algorithm, KINDS[algorithm].newSecret());
}

/** The key that `exportPrivate` gave. Throws `RangeError` where the bytes are not such a key. */
export function importServerKey(
  algorithm: ServerKeyAlgorithm,
  privateBytes: Uint8Array,
): ServerPrivateKey {
  const kind = KINDS[algorithm];
  try {
    const secret = kind.unpack(privateBytes);
    // Packing it again finds a public half that is another key's, or bytes too many.
    if (Buffer.from(kind.pack(secret)).equals(privateBytes)) return serverKey(algorithm, secret);
  } catch (error) {
    throw new RangeError(`not an ${algorithm} private key`, { cause: error });
  }
  throw new RangeError(`not an ${algorithm} private key`);
}

/** The key with that secret: 32 bytes, below the order of the curve for ecdsa. */
export function serverKey(algorithm: ServerKeyAlgorithm, secret: Uint8Array): ServerPrivateKey {
  const { method, publicBytes, sign, pack } = KINDS[algorithm];
  const publicKey = { keytype: algorithm, public: encodeBase64(publicBytes(secret)) };
  const keyid = keyId(publicKey);
  return {
    algorithm,
    publicKey,
    keyid,
    method,
    exportPrivate: () => pack(secret),
    sign: (payload) => ({ keyid, method, sig: encodeBase64(sign(payload, secret)) }),
  };
}

function packEd25519(secret: Uint8Array): Uint8Array {
  const publicKey = ed25519.getPublicKey(secret);
  return Buffer.concat([publicKey, secret, publicKey]);
}

/** SubjectPublicKeyInfo of a P-256 key, up to the point. */
const SPKI_P256 = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');

/** ECPrivateKey of RFC 5915 with curve and public key, cut where secret and point stand. */
const SEC1_HEAD = Buffer.from('30770201010420', 'hex');
const SEC1_MIDDLE = Buffer.from('a00a06082a8648ce3d030107a144034200', 'hex');

function packSec1(secret: Uint8Array): Uint8Array {
  return Buffer.concat([SEC1_HEAD, secret, SEC1_MIDDLE, p256.getPublicKey(secret, false)]);
}

function unpackSec1(privateBytes: Uint8Array): Uint8Array {
  const key = createPrivateKey({ key: Buffer.from(privateBytes), format: 'der', type: 'sec1' });
  return Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url');
}
