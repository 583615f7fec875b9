import type { KeyObject } from 'node:crypto';

/** Bytes of a coordinate, and so of r and of s, on the curves that keys may be on. */
const COORDINATE_BYTES: ReadonlyMap<string, number> = new Map([
  ['secp224r1', 28],
  ['prime256v1', 32],
  ['secp384r1', 48],
  ['secp521r1', 66],
]);

/** Undefined where this is no key on a curve that Notary knows. */
export function coordinateBytes(key: KeyObject): number | undefined {
  if (key.asymmetricKeyType !== 'ec') return undefined;
  return COORDINATE_BYTES.get(key.asymmetricKeyDetails?.namedCurve ?? '');
}

/** SubjectPublicKeyInfo of RFC 5480 for a P-256 key, up to the coordinates of its uncompressed point. */
export const P256_SPKI_HEAD = Buffer.from(
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004',
  'hex',
);

/** Whether these bytes, if they are a key at all, are a P-256 key in the one form that Go writes. */
export function isPlainP256(spki: Uint8Array): boolean {
  const head = spki.subarray(0, P256_SPKI_HEAD.length);
  return spki.length === P256_SPKI_HEAD.length + 64 && P256_SPKI_HEAD.equals(head);
}

/** The first byte of a point of which both coordinates follow; Go reads no other form. */
const UNCOMPRESSED = 0x04;

/**
 * Whether this is a key that Go cannot read: on another curve, or with its point in one of the other
 * forms, which OpenSSL takes and gives back as it found them.
 */
export function isForeignCurveKey(key: KeyObject): boolean {
  if (key.asymmetricKeyType !== 'ec') return false;
  const length = coordinateBytes(key);
  const point = length === undefined ? undefined : -(2 * length + 1);
  return (
    point === undefined || key.export({ format: 'der', type: 'spki' }).at(point) !== UNCOMPRESSED
  );
}

const MIN_RSA_BITS = 2048;

export function isLongRsaKey(key: KeyObject): boolean {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return key.asymmetricKeyType === 'rsa' && bits >= MIN_RSA_BITS;
}
