import { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  Certificate as Asn1Certificate,
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_cRLDistributionPoints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  Version,
  type TBSCertificate,
} from '@peculiar/asn1-x509';

/** An X.509 certificate, with what Node does not tell about one. */
export interface Certificate {
  readonly x509: X509Certificate;
  /** Whether it may sign others where it is a root. */
  readonly isRootIssuer: boolean;
  /** How many CAs may stand between it and a leaf. */
  readonly pathLength: number;
  /** Whether it has no critical extension that is unknown here: such a one is good for no chain. */
  readonly isUnderstood: boolean;
}

/**
 * Extensions that are understood, or change nothing here: a token says nothing about names and
 * purposes, so that constraints of these leave nothing to check.
 */
const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set([
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_extKeyUsage,
  id_ce_subjectAltName,
  id_ce_nameConstraints,
  id_ce_certificatePolicies,
  id_ce_cRLDistributionPoints,
]);

/** Reads DER. Throws where it is no certificate, or where there is more behind it. */
export function readCertificate(der: Uint8Array): Certificate {
  const x509 = new X509Certificate(der);
  if (x509.raw.length !== der.length) throw new TypeError('trailing data behind the certificate');
  const { tbsCertificate } = AsnConvert.parse(x509.raw, Asn1Certificate);
  return {
    x509,
    // Before version 3 no certificate could say that it is a CA.
    isRootIssuer: x509.ca || tbsCertificate.version !== Version.v3,
    pathLength: pathLengthOf(tbsCertificate),
    isUnderstood: (tbsCertificate.extensions ?? []).every(
      ({ critical, extnID }) => !critical || KNOWN_EXTENSIONS.has(extnID),
    ),
  };
}

function pathLengthOf({ extensions }: TBSCertificate): number {
  const found = extensions?.find(({ extnID }) => extnID === id_ce_basicConstraints);
  if (found === undefined) return Infinity;
  return AsnConvert.parse(found.extnValue, BasicConstraints).pathLenConstraint ?? Infinity;
}

/** One that is trusted to sign certificates, with as many CAs below it as `room` says. */
interface Issuer {
  readonly x509: X509Certificate;
  readonly room: number;
}

/**
 * Whether a chain leads from the leaf to one of the roots. A leaf that is itself in the bundle is its
 * own root. Chains are built from the roots down, so that no signature is ever checked with a
 * key that is not trusted yet, and each pair of certificates is looked at once at most.
 */
export function isChained(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  roots: readonly Certificate[],
  now: Date,
): boolean {
  const isGood = ({ x509, isUnderstood }: Certificate) =>
    isUnderstood && now >= x509.validFromDate && now <= x509.validToDate;
  if (!isGood(leaf)) return false;
  if (roots.some(({ x509 }) => x509.raw.equals(leaf.x509.raw))) return true;

  let issuers: Issuer[] = roots
    .filter((root) => root.isRootIssuer && isGood(root))
    .map(({ x509, pathLength }) => ({ x509, room: pathLength }));
  let left = intermediates.filter((each) => each.x509.ca && isGood(each));
  while (issuers.length > 0) {
    if (issuers.some((issuer) => hasIssued(issuer, leaf.x509))) return true;
    const next: Issuer[] = [];
    for (const { x509, pathLength } of left) {
      const above = issuers.filter((each) => each.room > 0 && hasIssued(each, x509));
      if (above.length === 0) continue;
      const room = Math.max(...above.map((issuer) => issuer.room)) - 1;
      next.push({ x509, room: Math.min(room, pathLength) });
    }
    left = left.filter((each) => next.every(({ x509 }) => x509 !== each.x509));
    issuers = next;
  }
  return false;
}

/** With SHA-2, or Ed25519: what is signed over MD5 or SHA-1 may be a forgery. */
const STRONG_SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.11', // RSA with SHA-256, SHA-384, SHA-512
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2', // ECDSA likewise
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112', // Ed25519
]);

function hasIssued(issuer: Issuer, subject: X509Certificate): boolean {
  return (
    STRONG_SIGNATURES.has(subject.signatureAlgorithmOid) &&
    subject.checkIssued(issuer.x509) &&
    subject.verify(issuer.x509.publicKey)
  );
}
