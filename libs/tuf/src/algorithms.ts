import { createPublicKey, constants, verify, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { encodeBase64 } from './base64.ts';
import { readCertificate } from './certificates.ts';
import { toDerSignature } from './ecdsa-signature.ts';
import type { PublicKey } from './key.ts';
import { coordinateBytes, isForeignCurveKey, isLongRsaKey, isPlainP256 } from './key-strength.ts';
import { pemBlocks } from './pem.ts';

/** How one kind of key checks one kind of signature. */
interface Method {
  /** The key in these public bytes; undefined where there is none of this kind. */
  readonly read: (publicBytes: Uint8Array) => KeyObject | undefined;
  readonly verify: (key: KeyObject, payload: Uint8Array, sig: Uint8Array) => boolean;
}

/** WIRE §7.4 and §7.6: for each key type, the methods it verifies with, in lower case. */
const ALGORITHMS: ReadonlyMap<string, Readonly<Record<string, Method>>> = new Map([
  ['ed25519', { eddsa: { read: rawEd25519, verify: verifyEd25519 } }],
  ['ecdsa', { ecdsa: { read: subjectPublicKey, verify: verifyEcdsa } }],
  ['ecdsa-x509', { ecdsa: { read: certifiedKey, verify: verifyEcdsa } }],
  [
    'rsa',
    {
      rsapss: { read: subjectPublicKey, verify: verifyRsaPss },
      rsapkcs1v15: { read: subjectPublicKey, verify: verifyRsaPkcs1 },
      'pycrypto-pkcs#1 pss': { read: pemPublicKey, verify: verifyRsaPss },
    },
  ],
  [
    'rsa-x509',
    {
      rsapss: { read: certifiedKey, verify: verifyRsaPss },
      rsapkcs1v15: { read: certifiedKey, verify: verifyRsaPkcs1 },
    },
  ],
]);

/**
 * Whether `sig` is a signature over `payload` by that key. A key or method we do not know, a key
 * that is none, a signature of the wrong length: all of them are only signatures that do not count.
 */
export function verifySignature(
  key: PublicKey,
  method: string,
  payload: Uint8Array,
  sig: Uint8Array,
): boolean {
  const methods = ALGORITHMS.get(key.keytype);
  const algorithm =
    methods !== undefined && Object.hasOwn(methods, method) ? methods[method] : undefined;
  const publicKey = algorithm && readKey(key, method, algorithm);
  if (algorithm === undefined || publicKey === undefined) return false;
  try {
    return algorithm.verify(publicKey, payload, sig);
  } catch {
    return false; // OpenSSL throws where it would not use a key at all
  }
}

/** Keys that were read, which costs as much as to verify with them (ADR 0022). */
const known = new LRUCache<string, KeyObject>({ maxSize: 8 * 1024 * 1024 });
/** What one of them takes beside its text in OpenSSL, roughly. */
const OVERHEAD = 2048;

function readKey(
  { keytype, public: text }: PublicKey,
  method: string,
  { read }: Method,
): KeyObject | undefined {
  const name = `${keytype} ${method} ${text}`;
  const key = known.get(name) ?? read(Buffer.from(text, 'base64'));
  if (key !== undefined) known.set(name, key, { size: 2 * name.length + OVERHEAD });
  return key;
}

/** r‖s over SHA-256, whatever the curve. Both (r, s) and (r, n − s) are good: Go makes either. */
function verifyEcdsa(key: KeyObject, payload: Uint8Array, sig: Uint8Array): boolean {
  const length = coordinateBytes(key);
  if (length === undefined || sig.length !== 2 * length) return false;
  return verify('sha256', payload, key, toDerSignature(sig));
}

function verifyEd25519(key: KeyObject, payload: Uint8Array, sig: Uint8Array): boolean {
  return verify(null, payload, key, sig);
}

function verifyRsaPss(key: KeyObject, payload: Uint8Array, sig: Uint8Array): boolean {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  return isLongRsaKey(key) && verify('sha256', payload, { key, padding, saltLength }, sig);
}

function verifyRsaPkcs1(key: KeyObject, payload: Uint8Array, sig: Uint8Array): boolean {
  const padding = constants.RSA_PKCS1_PADDING;
  return isLongRsaKey(key) && verify('sha256', payload, { key, padding }, sig);
}

function rawEd25519(publicBytes: Uint8Array): KeyObject | undefined {
  if (publicBytes.length !== 32) return undefined;
  const x = Buffer.from(publicBytes).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

/** DER has one way to write a key; other ways, or bytes behind it, are no key. */
function subjectPublicKey(publicBytes: Uint8Array): KeyObject | undefined {
  try {
    // What it exports as costs twice what it took to read; and from an object, as below, three times as much:
    // Node finds out what such an object is by errors, with all that they tell of the stack.
    if (isPlainP256(publicBytes)) return createPublicKey(pemOf(publicBytes));
    const key = createPublicKey({ key: Buffer.from(publicBytes), format: 'der', type: 'spki' });
    const der = key.export({ format: 'der', type: 'spki' });
    return der.equals(publicBytes) && !isForeignCurveKey(key) ? key : undefined;
  } catch {
    return undefined;
  }
}

/** In one line, which OpenSSL takes up to 254 characters long. */
function pemOf(publicBytes: Uint8Array): string {
  return `-----BEGIN PUBLIC KEY-----\n${encodeBase64(publicBytes)}\n-----END PUBLIC KEY-----\n`;
}

function pemPublicKey(publicBytes: Uint8Array): KeyObject | undefined {
  const [block] = pemBlocks(publicBytes);
  return block === undefined ? undefined : subjectPublicKey(block.der);
}

/** The key in the first certificate, which is the leaf; its validity is a matter of the role. */
function certifiedKey(publicBytes: Uint8Array): KeyObject | undefined {
  const [block] = pemBlocks(publicBytes);
  return block === undefined ? undefined : readCertificate(block.der)?.publicKey;
}
