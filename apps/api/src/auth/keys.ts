import { createHash, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { ConfigError, openReason, readText } from '@scrivener/runtime';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { isChained, readCertificate, type Certificate } from './chain.ts';
import { TokenError } from './error.ts';
import { algorithmsOf, type TokenHeader } from './token.ts';

/**
 * Reads the certificates that tokens are trusted by (`auth.options.rootcertbundle`). Throws
 * `ConfigError` in the words of WIRE §14.3.
 */
export function readRootCertBundle(path: string): readonly Certificate[] {
  const pem = readText(
    path,
    (reason) => `unable to open token auth root certificate bundle file "${path}": ${reason}`,
  );
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  if (blocks.length === 0) {
    throw new ConfigError('token auth requires at least one token signing root certificate');
  }
  return blocks.map((block) => readRoot(block, path));
}

function readRoot(pem: string, path: string): Certificate {
  let certificate: Certificate;
  try {
    certificate = readCertificate(new X509Certificate(pem).raw);
  } catch (error) {
    const reason = openReason(path, error);
    throw new ConfigError(`unable to parse token auth root certificate: ${reason}`, {
      cause: error,
    });
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.x509.publicKey;
  if (algorithmsOf(certificate.x509.publicKey).length === 0) {
    throw new ConfigError(
      'unable to get public key from token auth root certificate: ' +
        `no token can be signed with ${details?.namedCurve ?? type}`,
    );
  }
  return certificate;
}

/** More than any token server sends: a chain has three or four. */
const MAX_CERTIFICATES = 10;

/** A key that the bundle vouches for. */
interface Vouched {
  readonly key: KeyObject;
  /** Until then it does, in milliseconds of the epoch: no certificate in question ends before. */
  readonly until: number;
}

/** Finds the key that a token is to be verified with, out of those that the bundle vouches for. */
export interface Keyring {
  /** By the first of `x5c`, `jwk` and `kid` that there is (WIRE §13.2). Throws where nothing vouches. */
  keyOf(header: TokenHeader, now: Date): Vouched;
}

export function createKeyring(bundle: readonly Certificate[]): Keyring {
  const keys = new Map(
    bundle.map(({ x509 }) => [fingerprint(x509.publicKey), x509.publicKey] as const),
  );

  // To read a certificate takes longer than to verify it, and tokens bring the same ones again and
  // again. Only what came with a good leaf is kept; who fills this up all the same costs us time, no more.
  const chained = new LRUCache<string, Certificate>({ max: 100 });

  const endOf = (certificates: readonly Certificate[], now: Date): number => {
    const ends = [...certificates, ...bundle].map(({ x509 }) => x509.validToDate.getTime());
    return Math.min(...ends.filter((end) => end >= now.getTime()));
  };

  const known = (id: string, now: Date): Vouched => {
    const key = keys.get(id);
    if (key === undefined) throw new TokenError('INVALID_TOKEN', 'signed by an unknown key');
    return { key, until: endOf([], now) };
  };

  const fromChain = (given: readonly unknown[], now: Date): Vouched => {
    if (given.length > MAX_CERTIFICATES) {
      throw new TokenError('INVALID_TOKEN', `more than ${MAX_CERTIFICATES} certificates`);
    }
    const x5c = texts.parse(given);
    const read = x5c.map((text) => chained.get(text) ?? readCertificate(decodeBase64(text)));
    const [leaf, ...intermediates] = read;
    if (leaf === undefined || !isChained(leaf, intermediates, bundle, now)) {
      throw new TokenError('INVALID_TOKEN', 'no certificate chain to the bundle');
    }
    for (const [index, certificate] of read.entries()) chained.set(x5c[index] ?? '', certificate);
    return { key: leaf.x509.publicKey, until: endOf(read, now) };
  };

  const fromJwk = (value: unknown, now: Date): Vouched => {
    const { data: jwk } = jsonWebKey.safeParse(value);
    if (jwk === undefined) throw new TokenError('INVALID_TOKEN', 'the jwk is no public key');
    const { kid, x5c, ...material } = jwk;
    const id = fingerprint(createPublicKey({ key: material, format: 'jwk' }));
    if (kid !== undefined && kid !== id) {
      throw new TokenError('INVALID_TOKEN', 'the kid of the jwk is not its own');
    }
    if (!Array.isArray(x5c)) return known(id, now);
    const vouched = fromChain(x5c, now);
    if (fingerprint(vouched.key) !== id) {
      throw new TokenError('INVALID_TOKEN', 'the jwk is not the key of its certificate');
    }
    return vouched;
  };

  return {
    keyOf({ x5c, jwk, kid }, now) {
      if (x5c.length > 0) return fromChain(x5c, now);
      if (jwk !== undefined && jwk !== null) return fromJwk(jwk, now);
      if (kid !== '') return known(kid, now);
      throw new TokenError('INVALID_TOKEN', 'the token does not say which key signed it');
    },
  };
}

const texts = z.array(z.string());

/** The members of a public key, and nothing else; `x5c` counts where it is a list. */
const jsonWebKey = z.discriminatedUnion('kty', [
  z.object({
    kty: z.literal('EC'),
    crv: z.string(),
    x: z.string(),
    y: z.string(),
    kid: z.string().optional(),
    x5c: z.unknown().optional(),
  }),
  z.object({
    kty: z.literal('RSA'),
    n: z.string(),
    e: z.string(),
    kid: z.string().optional(),
    x5c: z.unknown().optional(),
  }),
]);

/** Standard base64 with its padding, and any line ends. */
function decodeBase64(text: string): Uint8Array {
  const bare = text.replaceAll(/[\r\n]/g, '');
  if (bare.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(bare)) {
    throw new TokenError('INVALID_TOKEN', 'a certificate is not in base64');
  }
  return Buffer.from(bare, 'base64');
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * The key id of the Docker world: of the SHA-256 of the public key (SubjectPublicKeyInfo) the first 240
 * bits in base32, in groups of four.
 */
export function fingerprint(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' });
  const digest = createHash('sha256').update(spki).digest('hex').slice(0, 60);
  const bits = BigInt(`0x${digest}`);
  const characters = Array.from(
    { length: 48 },
    (_, index) => BASE32[Number((bits >> BigInt(5 * (47 - index))) & 31n)] ?? '',
  );
  return characters.join('').replace(/.{4}(?=.)/g, '$&:');
}
