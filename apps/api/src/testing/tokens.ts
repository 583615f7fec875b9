// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it, and before it loads
import 'reflect-metadata';
import { KeyObject, randomBytes, sign, webcrypto, X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, Version } from '@peculiar/asn1-x509';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  Extension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { CompactSign } from 'jose';

/** A key pair with a certificate for it. */
export interface Identity {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The certificate as it stands in `x5c`. */
  readonly x5c: string;
  readonly pem: string;
  readonly keys: webcrypto.CryptoKeyPair;
}

const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 2048,
  publicExponent: Buffer.from([1, 0, 1]),
  hash: 'SHA-256',
} as const;

const ALGORITHMS = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384' },
  'P-521': { name: 'ECDSA', namedCurve: 'P-521' },
  RSA,
  'RSA-1024': { ...RSA, modulusLength: 1024 },
  Ed25519: { name: 'Ed25519' },
} as const;

export type KeyKind = keyof typeof ALGORITHMS;

export interface CertificateWish {
  readonly name: string;
  readonly key?: KeyKind;
  /** Itself where absent. */
  readonly issuer?: Identity;
  /** Where it is not that of the issuer. */
  readonly issuerName?: string;
  /** Basic constraints and key usage of a CA; `false` leaves them out. */
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Of the issuer's signature. */
  readonly hash?: 'SHA-1' | 'SHA-256';
  readonly extensions?: readonly Extension[];
}

const HOUR = 3_600_000;

export async function certify(wish: CertificateWish): Promise<Identity> {
  cryptoProvider.set(webcrypto);
  const algorithm = ALGORITHMS[wish.key ?? 'P-256'];
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  if (!('privateKey' in keys)) throw new Error('a pair of keys was asked for');
  const { issuer, ca = false, pathLength, extensions = [] } = wish;
  const signer = issuer?.keys.privateKey ?? keys.privateKey;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: `40${randomBytes(8).toString('hex')}`,
    subject: `CN=${wish.name}`,
    issuer: wish.issuerName ?? issuer?.certificate.subject ?? `CN=${wish.name}`,
    notBefore: wish.notBefore ?? new Date(Date.now() - HOUR),
    notAfter: wish.notAfter ?? new Date(Date.now() + HOUR),
    publicKey: keys.publicKey,
    signingKey: signer,
    signingAlgorithm: { name: signer.algorithm.name, hash: wish.hash ?? 'SHA-256' },
    extensions: [
      ...(ca
        ? [
            new BasicConstraintsExtension(true, pathLength, true),
            new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
          ]
        : []),
      ...extensions,
    ],
  });
  const der = Buffer.from(certificate.rawData);
  return {
    certificate: new X509Certificate(der),
    privateKey: KeyObject.from(keys.privateKey),
    publicKey: KeyObject.from(keys.publicKey),
    x5c: der.toString('base64'),
    pem: `${certificate.toString('pem')}\n`,
    keys,
  };
}

export function criticalExtension(oid: string, derHex: string): Extension {
  return new Extension(oid, true, Buffer.from(derHex, 'hex'));
}

export const ISSUER = 'the issuer';
export const SERVICE = 'the service';

/** The certificate in the first version, which had no extensions and so no word for a CA. */
export function inVersion1(identity: Identity): Identity {
  const { tbsCertificate, signatureAlgorithm } = AsnConvert.parse(
    identity.certificate.raw,
    Certificate,
  );
  tbsCertificate.version = Version.v1;
  delete tbsCertificate.extensions;
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), {
    key: identity.privateKey,
  });
  const signed = new Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: new Uint8Array(signature).buffer,
  });
  const der = Buffer.from(AsnConvert.serialize(signed));
  return { ...identity, certificate: new X509Certificate(der), x5c: der.toString('base64') };
}

/** A claim that is `undefined` is left out. */
export type Claims = Readonly<Record<string, unknown>>;

/** Claims of a good token. */
export function goodClaims(more: Claims = {}): Claims {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: ISSUER,
    sub: 'somebody',
    aud: SERVICE,
    exp: now + 300,
    nbf: now - 10,
    iat: now - 10,
    jti: randomBytes(8).toString('hex'),
    access: [{ type: 'repository', name: 'a', actions: ['pull'] }],
    ...more,
  };
}

export interface TokenHeader {
  readonly alg: string;
  readonly [name: string]: unknown;
}

/** A token as token servers make them. */
export function signToken(key: KeyObject, header: TokenHeader, claims: Claims): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ typ: 'JWT', ...header })
    .sign(key);
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** A token as nobody should make them: `sign` gets what is to be signed. */
export function forgeToken(
  header: unknown,
  claims: string,
  sign: (input: Buffer) => Uint8Array,
): string {
  const input = `${encode(JSON.stringify(header))}.${encode(claims)}`;
  return `${input}.${Buffer.from(sign(Buffer.from(input))).toString('base64url')}`;
}
