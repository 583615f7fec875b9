import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';

declare const keyid: unique symbol;

/** 64 lower-case hex digits: SHA-256 of a key's canonical JSON (WIRE §7.4). */
export type KeyId = string & { readonly [keyid]: true };

/** A public key as it stands in metadata. */
export interface PublicKey {
  /** `ed25519`, `ecdsa`, `rsa`, `ecdsa-x509`, `rsa-x509`; others are tolerated and verify nothing. */
  readonly keytype: string;
  /** Padded standard base64; WIRE §7.4 says of what. */
  readonly public: string;
}

/** The algorithms the server makes keys of. */
export type ServerKeyAlgorithm = 'ed25519' | 'ecdsa';

/** The id that signatures name a key by, whatever id a file keeps it under. */
export function keyId(key: PublicKey): KeyId {
  const keyval = `{"private":null,"public":${canonicalJson(key.public)}}`;
  const text = `{"keytype":${canonicalJson(key.keytype)},"keyval":${keyval}}`;
  return createHash('sha256').update(text).digest('hex') as KeyId;
}

/** The body of a key download, `public` before `private` (WIRE §4). */
export function renderPublicKey(key: PublicKey): string {
  const { keytype } = key;
  return JSON.stringify({ keytype, keyval: { public: key.public, private: null } });
}
