import { X509Certificate, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { encodeBase64 } from './base64.ts';
import { derValues, type DerValue } from './der.ts';
import type { Gun } from './gun.ts';
import { keyId, type KeyId, type PublicKey } from './key.ts';
import { isForeignCurveKey, isLongRsaKey } from './key-strength.ts';
import { certificatePem, pemBlocks } from './pem.ts';
import { addDays } from './times.ts';

/** What Notary looks at in an X.509 certificate. */
export interface Certificate {
  readonly commonName: string;
  /** Whether its basic constraints say so; key usage does not matter. */
  readonly isCa: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly signatureOid: string;
  readonly publicKey: KeyObject;
  readonly der: Uint8Array;
}

/** The certificates of one root key (WIRE §6.6). */
interface Bundle {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/** The same certificates come with every update of a repository, and OpenSSL takes its time (ADR 0022). */
const known = new LRUCache<string, Certificate>({ maxSize: 4 * 1024 * 1024 });
/** What one of them takes beside its text, roughly: OpenSSL's key, our objects. */
const OVERHEAD = 2048;

/** Reads DER; undefined where it is no certificate, or one with a key of a kind Go cannot read. */
export function readCertificate(der: Uint8Array): Certificate | undefined {
  const text = Buffer.from(der).toString('latin1');
  // A copy that is kept must not be a piece of the pool that `Buffer.from` cuts from: it would keep all of it.
  const read = known.get(text) ?? parseCertificate(new Uint8Array(der));
  if (read !== undefined) known.set(text, read, { size: 2 * text.length + OVERHEAD });
  return read;
}

function parseCertificate(der: Uint8Array): Certificate | undefined {
  try {
    const x509 = new X509Certificate(der);
    const { publicKey } = x509;
    if (x509.raw.length !== der.length) return undefined;
    if (isForeignCurveKey(publicKey)) return undefined;
    return {
      commonName: commonNameOf(x509),
      isCa: isCa(der),
      notBefore: x509.validFromDate,
      notAfter: x509.validToDate,
      signatureOid: x509.signatureAlgorithmOid,
      publicKey,
      der,
    };
  } catch {
    return undefined;
  }
}

/** The last common name counts, where there are several. */
function commonNameOf(x509: X509Certificate): string {
  const name: unknown = x509.toLegacyObject().subject.CN;
  const last: unknown = Array.isArray(name) ? name.at(-1) : name;
  return typeof last === 'string' ? last : '';
}

const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13]);
const EXTENSIONS = 0xa3;
const OCTET_STRING = 0x04;
const BOOLEAN = 0x01;

/**
 * Whether the basic constraints name a CA. OpenSSL's `ca` will not do: it wants a key usage to
 * match, and a CA that passed for a leaf could sign a root.
 */
function isCa(der: Uint8Array): boolean {
  const [certificate] = derValues(der);
  const [toBeSigned] = inside(certificate);
  const wrapped = inside(toBeSigned).find(({ tag }) => tag === EXTENSIONS);
  const [extensions] = inside(wrapped);
  return inside(extensions).some((extension) => {
    const [id, ...rest] = inside(extension);
    if (id === undefined || !BASIC_CONSTRAINTS.equals(id.content)) return false;
    const [constraints] = inside(rest.find(({ tag }) => tag === OCTET_STRING));
    const [first] = inside(constraints);
    return first?.tag === BOOLEAN && first.content[0] !== 0;
  });
}

function inside(value: DerValue | undefined): DerValue[] {
  return value === undefined ? [] : derValues(value.content);
}

/** The first certificate in a PEM file, whatever else is there; undefined where there is none. */
export function firstCertificate(pem: Uint8Array): Certificate | undefined {
  for (const { label, hasHeaders, der } of pemBlocks(pem)) {
    const certificate = label === 'CERTIFICATE' && !hasHeaders ? readCertificate(der) : undefined;
    if (certificate !== undefined) return certificate;
  }
  return undefined;
}

const SHA1_SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.5', // RSA
  '1.3.14.3.2.29', // RSA, ISO's name for it
  '1.2.840.10040.4.3', // DSA
  '1.2.840.10045.4.1', // ECDSA
]);

/** What makes a certificate unfit for any role, expired or not; undefined where nothing does. */
export function flawOf(certificate: Certificate): string | undefined {
  const { notBefore, notAfter, signatureOid, publicKey, commonName } = certificate;
  if (notBefore > notAfter) return 'certificate validity window is invalid';
  if (SHA1_SIGNATURES.has(signatureOid)) {
    return `certificate with CN ${commonName} uses invalid SHA1 signature algorithm`;
  }
  if (publicKey.asymmetricKeyType === 'rsa' && !isLongRsaKey(publicKey)) {
    return 'RSA bit length is too short';
  }
  return undefined;
}

/** Clocks may differ by a day, but only to the benefit of a certificate that is not valid yet. */
function isCurrent({ notBefore, notAfter }: Certificate, now: Date): boolean {
  return notBefore <= addDays(now, 1) && notAfter >= now;
}

function fitsGun({ commonName }: Certificate, gun: Gun): boolean {
  return commonName.endsWith('*') ? gun.startsWith(withoutStars(commonName)) : commonName === gun;
}

function withoutStars(name: string): string {
  let end = name.length;
  while (name[end - 1] === '*') end--;
  return name.slice(0, end);
}

/**
 * The keys that may sign the root of a repository, out of those listed for its root role (WIRE
 * §6.6). Each is filed under the id of the certificates written anew, which is the id that
 * signatures must name. Without `now` expiry does not matter: that is how an old root is asked.
 */
export function usableRootKeys(
  listed: readonly PublicKey[],
  gun: Gun,
  now?: Date,
): Map<KeyId, PublicKey> {
  const usable = new Map<KeyId, PublicKey>();
  for (const key of listed) {
    const bundle = readBundle(Buffer.from(key.public, 'base64'));
    if (bundle === undefined || !isUsableLeaf(bundle.leaf, gun, now)) continue;
    const rewritten = rewrite(bundle, now);
    if (rewritten !== undefined) usable.set(keyId(rewritten), rewritten);
  }
  return usable;
}

/**
 * The last moment at which at least `threshold` of these keys are usable: from then on no root that
 * lists no others verifies. Undefined where there were never so many.
 */
export function usableUntil(
  listed: readonly PublicKey[],
  gun: Gun,
  threshold: bigint,
): Date | undefined {
  const ends = [...usableRootKeys(listed, gun).values()]
    .map((key) => readBundle(Buffer.from(key.public, 'base64'))?.leaf.notAfter.getTime() ?? NaN)
    .filter((end) => Number.isFinite(end))
    .sort((a, b) => b - a);
  const last = threshold < 1n ? undefined : ends[Number(threshold) - 1];
  return last === undefined ? undefined : new Date(last);
}

/**
 * Until when `usableRootKeys` gives the same keys as it gives `now`, if the clock does not go back: the
 * next moment at which one of all these certificates becomes valid, or expires.
 */
export function sameKeysUntil(listed: readonly PublicKey[], now: Date): Date | undefined {
  const moments = listed
    .map((key) => readBundle(Buffer.from(key.public, 'base64')))
    .flatMap((bundle) => (bundle === undefined ? [] : [bundle.leaf, ...bundle.intermediates]))
    .flatMap(({ notBefore, notAfter }) => [addDays(notBefore, -1), notAfter])
    .filter((moment) => moment >= now)
    .sort((a, b) => a.getTime() - b.getTime());
  return moments[0];
}

function isUsableLeaf(leaf: Certificate, gun: Gun, now: Date | undefined): boolean {
  return (
    fitsGun(leaf, gun) && flawOf(leaf) === undefined && (now === undefined || isCurrent(leaf, now))
  );
}

/** Nothing but certificates, one leaf, the leaf first. */
function readBundle(pem: Uint8Array): Bundle | undefined {
  const certificates = pemBlocks(pem).map(({ label, der }) =>
    label === 'CERTIFICATE' ? readCertificate(der) : undefined,
  );
  const known = certificates.filter((certificate) => certificate !== undefined);
  const [leaf, ...rest] = known;
  if (leaf === undefined || known.length !== certificates.length) return undefined;
  if (leaf.isCa || rest.some(({ isCa }) => !isCa)) return undefined;
  return { leaf, intermediates: rest };
}

/** The bundle as a key: typed by the leaf's algorithm, without intermediates that do not count. */
function rewrite({ leaf, intermediates }: Bundle, now: Date | undefined): PublicKey | undefined {
  const keytype = X509_KEYTYPES.get(leaf.publicKey.asymmetricKeyType ?? '');
  if (keytype === undefined) return undefined;
  const counted =
    now === undefined
      ? intermediates
      : intermediates.filter((each) => flawOf(each) === undefined && isCurrent(each, now));
  const pem = [leaf, ...counted].map(({ der }) => certificatePem(der)).join('');
  return { keytype, public: encodeBase64(Buffer.from(pem, 'latin1')) };
}

const X509_KEYTYPES: ReadonlyMap<string, string> = new Map([
  ['ec', 'ecdsa-x509'],
  ['rsa', 'rsa-x509'],
]);
