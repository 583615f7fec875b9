/** One value in ASN.1's DER. */
export function der(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(content);
  const size = body.length;
  const length =
    size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;

const CRITICAL = Buffer.from('0101ff', 'hex');
const NO_UNUSED_BITS = Buffer.from([0]);
const VERSION_3 = Buffer.from('a003020102', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const KEY_USAGE = Buffer.from('0603551d0f', 'hex');
const BASIC_CONSTRAINTS = Buffer.from('0603551d13', 'hex');

/** `AlgorithmIdentifier`s of signatures. */
const SIGNATURE_ALGORITHMS = {
  ecdsaWithSha256: Buffer.from('300a06082a8648ce3d040302', 'hex'),
  ecdsaWithSha1: Buffer.from('300906072a8648ce3d0401', 'hex'),
  rsaWithSha256: Buffer.from('300d06092a864886f70d01010b0500', 'hex'),
  rsaWithSha1: Buffer.from('300d06092a864886f70d0101050500', 'hex'),
  ed25519: Buffer.from('300506032b6570', 'hex'),
} as const;

export interface CertificateFields {
  /** One or several common names; the last one counts. */
  readonly commonNames: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER of the key. */
  readonly subjectPublicKeyInfo: Uint8Array;
  /** `cA` of the basic constraints; undefined leaves the extension out. */
  readonly ca?: boolean | undefined;
  /** Bits of the key usage, e.g. `06` for certificates and revocation lists. */
  readonly keyUsage?: number;
  readonly signatureAlgorithm: keyof typeof SIGNATURE_ALGORITHMS;
  /** Signs the part that is to be signed; DER for ECDSA. */
  readonly sign: (toBeSigned: Uint8Array) => Uint8Array;
}

/** Writes a certificate that names itself as its issuer. */
export function writeCertificate(fields: CertificateFields): Uint8Array {
  const algorithm = SIGNATURE_ALGORITHMS[fields.signatureAlgorithm];
  const name = der(
    SEQUENCE,
    ...fields.commonNames.map((commonName) =>
      der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from(commonName)))),
    ),
  );
  const toBeSigned = der(
    SEQUENCE,
    VERSION_3,
    der(INTEGER, Buffer.from([1])),
    algorithm,
    name,
    der(SEQUENCE, generalizedTime(fields.notBefore), generalizedTime(fields.notAfter)),
    name,
    fields.subjectPublicKeyInfo,
    der(0xa3, der(SEQUENCE, ...extensions(fields))),
  );
  const signature = der(BIT_STRING, NO_UNUSED_BITS, fields.sign(toBeSigned));
  return der(SEQUENCE, toBeSigned, algorithm, signature);
}

function extensions({ ca, keyUsage = 0x80 }: CertificateFields): Uint8Array[] {
  const usage = der(BIT_STRING, NO_UNUSED_BITS, Buffer.from([keyUsage]));
  const all = [der(SEQUENCE, KEY_USAGE, CRITICAL, der(OCTET_STRING, usage))];
  if (ca !== undefined) {
    const constraints = der(SEQUENCE, ...(ca ? [CRITICAL] : []));
    all.push(der(SEQUENCE, BASIC_CONSTRAINTS, CRITICAL, der(OCTET_STRING, constraints)));
  }
  return all;
}

function generalizedTime(date: Date): Uint8Array {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return der(GENERALIZED_TIME, Buffer.from(digits));
}
