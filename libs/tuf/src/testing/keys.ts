import { createHash } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { encodeBase64 } from '../base64.ts';
import { keyId, type KeyId, type PublicKey } from '../key.ts';
import { certificatePem } from '../pem.ts';
import { serverKey } from '../server-key.ts';
import type { Signature } from '../server-roles.ts';
import { writeCertificate } from './x509.ts';

/** A key that a person has: of the repository's owner, or of a collaborator. */
export interface OwnKey {
  readonly publicKey: PublicKey;
  readonly keyid: KeyId;
  readonly sign: (payload: Uint8Array) => Signature;
}

/** The same P-256 key for the same seed. */
export function ownKey(seed: string): OwnKey {
  return serverKey('ecdsa', secretOf(seed));
}

export interface CertifiedKeyOptions {
  readonly commonName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A P-256 key in a certificate signed by itself, as `notary init` makes for root. */
export function certifiedKey(seed: string, options: CertifiedKeyOptions): OwnKey {
  const { commonName, notBefore, notAfter } = options;
  const secret = secretOf(seed);
  const bare = serverKey('ecdsa', secret);
  const certificate = writeCertificate({
    commonNames: [commonName],
    notBefore,
    notAfter,
    subjectPublicKeyInfo: Buffer.from(bare.publicKey.public, 'base64'),
    ca: false,
    signatureAlgorithm: 'ecdsaWithSha256',
    sign: (toBeSigned) => p256.sign(toBeSigned, secret, { lowS: false, format: 'der' }),
  });
  const pem = Buffer.from(certificatePem(certificate));
  const publicKey = { keytype: 'ecdsa-x509', public: encodeBase64(pem) };
  const keyid = keyId(publicKey);
  return { publicKey, keyid, sign: (payload) => ({ ...bare.sign(payload), keyid }) };
}

function secretOf(seed: string): Uint8Array {
  return createHash('sha256').update(seed).digest();
}
