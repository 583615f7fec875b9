import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { flawOf, readCertificate, usableRootKeys, usableUntil } from './certificates.ts';
import { parseGun } from './gun.ts';
import { keyId, type PublicKey } from './key.ts';
import { certificatePem } from './pem.ts';
import { writeCertificate, type CertificateFields } from './testing/x509.ts';

const now = new Date('2026-06-01T12:00:00Z');
const hours = (count: number) => new Date(now.getTime() + count * 3_600_000);
const gun = gunOf('docker.io/library/alpine');
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

function gunOf(text: string) {
  const gun = parseGun(text);
  if (gun === undefined) throw new Error(`${text} is no GUN`);
  return gun;
}

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** A certificate that is usable but for what `fields` say. */
function certificate(fields: Partial<CertificateFields> = {}, pair: Pair = ec): string {
  const type = pair.privateKey.asymmetricKeyType;
  const der = writeCertificate({
    commonNames: [gun],
    notBefore: hours(-24),
    notAfter: hours(24),
    subjectPublicKeyInfo: pair.publicKey.export({ type: 'spki', format: 'der' }),
    ca: false,
    signatureAlgorithm:
      type === 'rsa' ? 'rsaWithSha256' : type === 'ed25519' ? 'ed25519' : 'ecdsaWithSha256',
    sign: (toBeSigned) => sign(type === 'ed25519' ? null : 'sha256', toBeSigned, pair.privateKey),
    ...fields,
  });
  return certificatePem(der);
}

const key = (pem: string, keytype = 'ecdsa-x509'): PublicKey => ({
  keytype,
  public: Buffer.from(pem, 'latin1').toString('base64'),
});
const usable = (pem: string) => [...usableRootKeys([key(pem)], gun, now).keys()];
const intermediate = (fields: Partial<CertificateFields> = {}) =>
  certificate({ commonNames: ['CA'], ca: true, ...fields });
const curve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });

describe('a root key is not usable (WIRE §6.6)', () => {
  const leaf = certificate();

  test.each([
    ['bare public bytes', 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE'],
    ['nothing', ''],
    ['a block of another kind', leaf.replaceAll('CERTIFICATE', 'PUBLIC KEY')],
    ['a second block of another kind', leaf + leaf.replaceAll('CERTIFICATE', 'X509 CRL')],
    ['a block that is no certificate', certificatePem(Buffer.from('no'))],
    ['bytes behind the certificate', certificatePem(Buffer.concat([derOf(leaf), Buffer.of(0)]))],
    ['two leaves', leaf + certificate()],
    ['a CA first', intermediate() + leaf],
    ['only a CA', intermediate({ commonNames: [gun] })],
    [
      'a CA whose key usage is not that of one',
      intermediate({ commonNames: [gun], keyUsage: 0x80 }),
    ],
    ['another common name', certificate({ commonNames: ['docker.io/library/alpin'] })],
    ['a common name in another case', certificate({ commonNames: ['docker.io/library/Alpine'] })],
    ['no common name', certificate({ commonNames: [] })],
    ['a star in the middle', certificate({ commonNames: ['docker.io/*/alpine'] })],
    ['a star before another end', certificate({ commonNames: ['docker.io/library/b*'] })],
    ['a fitting common name that is not the last', certificate({ commonNames: [gun, 'x'] })],
    ['one that has expired', certificate({ notBefore: hours(-48), notAfter: hours(-1) })],
    ['one that starts in 25 hours', certificate({ notBefore: hours(25), notAfter: hours(99) })],
    ['one that ends before it starts', certificate({ notBefore: hours(20), notAfter: hours(10) })],
    [
      'a signature with SHA-1',
      certificate({
        signatureAlgorithm: 'ecdsaWithSha1',
        sign: (toBeSigned) => sign('sha1', toBeSigned, ec.privateKey),
      }),
    ],
    ['RSA under 2048 bits', certificate({}, generateKeyPairSync('rsa', { modulusLength: 2040 }))],
    ['Ed25519', certificate({}, generateKeyPairSync('ed25519'))],
    ['secp256k1', certificate({}, curve('secp256k1'))],
  ])('%s', (_, pem) => {
    expect(usable(pem)).toEqual([]);
  });
});

describe('a root key is usable (WIRE §6.6)', () => {
  test.each([
    ['the GUN as common name', certificate()],
    ['a common name with a trailing star', certificate({ commonNames: ['docker.io/*'] })],
    ['several trailing stars', certificate({ commonNames: ['docker.io/library/alpine***'] })],
    ['a star alone', certificate({ commonNames: ['*'] })],
    ['the last common name of several', certificate({ commonNames: ['x', gun] })],
    ['one that starts within 24 hours', certificate({ notBefore: hours(24), notAfter: hours(99) })],
    ['one that ends right now', certificate({ notAfter: now })],
    ['no basic constraints', certificate({ ca: undefined })],
    ['P-224', certificate({}, curve('P-224'))],
    ['P-384', certificate({}, curve('P-384'))],
    ['P-521', certificate({}, curve('P-521'))],
  ])('%s', (_, pem) => {
    expect(usable(pem)).toEqual([keyId(key(pem))]);
  });

  test('RSA of 2048 bits, whose key type is that of the leaf, whatever the file says', () => {
    const pem = certificate({}, rsa);

    expect(usable(pem)).toEqual([keyId(key(pem, 'rsa-x509'))]);
  });

  test('an old root is asked without a clock: expired certificates count', () => {
    const pem = certificate({ notBefore: hours(-48), notAfter: hours(-1) });

    expect([...usableRootKeys([key(pem)], gun).keys()]).toEqual([keyId(key(pem))]);
  });
});

describe('the id that signatures must name is that of the certificates written anew', () => {
  const leaf = certificate();

  test.each([
    ['text before', `subject=x\n${leaf}`],
    ['CRLF', leaf.replaceAll('\n', '\r\n')],
    ['no final newline', leaf.trimEnd()],
    ['headers', leaf.replace('\n', '\nProc-Type: 4\n\n')],
  ])('%s', (_, pem) => {
    expect(usable(pem)).toEqual([keyId(key(leaf))]);
    expect(keyId(key(pem))).not.toBe(keyId(key(leaf)));
  });

  test('intermediates belong to it, but for those that have expired or are weak', () => {
    const good = intermediate();
    const expired = intermediate({ notBefore: hours(-48), notAfter: hours(-1) });

    expect(usable(leaf + good)).toEqual([keyId(key(leaf + good))]);
    expect(usable(leaf + expired + good)).toEqual([keyId(key(leaf + good))]);
  });

  test('of an old root all intermediates count', () => {
    const expired = intermediate({ notBefore: hours(-48), notAfter: hours(-1) });

    expect([...usableRootKeys([key(leaf + expired)], gun).keys()]).toEqual([
      keyId(key(leaf + expired)),
    ]);
  });
});

test.each([
  [
    'certificate with CN bob uses invalid SHA1 signature algorithm',
    certificate({
      commonNames: ['bob'],
      signatureAlgorithm: 'ecdsaWithSha1',
      sign: (toBeSigned) => sign('sha1', toBeSigned, ec.privateKey),
    }),
  ],
  [
    'certificate with CN bob uses invalid SHA1 signature algorithm',
    certificate(
      {
        commonNames: ['bob'],
        signatureAlgorithm: 'rsaWithSha1',
        sign: (toBeSigned) => sign('sha1', toBeSigned, rsa.privateKey),
      },
      rsa,
    ),
  ],
  [
    'RSA bit length is too short',
    certificate({}, generateKeyPairSync('rsa', { modulusLength: 1024 })),
  ],
  [
    'certificate validity window is invalid',
    certificate({ notBefore: hours(2), notAfter: hours(1) }),
  ],
  [undefined, certificate({ notBefore: hours(-48), notAfter: hours(-47) })],
])('a certificate of a delegation: %s', (flaw, pem) => {
  const parsed = readCertificate(derOf(pem));

  expect(parsed && flawOf(parsed)).toBe(flaw);
  expect(parsed).toBeDefined();
});

function derOf(pem: string): Uint8Array {
  return Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
}

test('a certificate that is kept keeps no memory but its own', () => {
  const der = derOf(certificate());

  const kept = readCertificate(der)?.der;

  expect(kept?.buffer.byteLength).toBe(der.byteLength);
});

describe('root keys are usable until', () => {
  const ending = (end: number) => key(certificate({ notAfter: hours(end) }, curve('P-256')));
  const keys = [ending(48), ending(96), ending(72)];

  test.each([
    [1n, hours(96)],
    [2n, hours(72)],
    [3n, hours(48)],
    [4n, undefined],
    [0n, undefined],
  ])('fewer than %s of them are', (threshold, end) => {
    expect(usableUntil(keys, gun, threshold)).toEqual(end);
  });

  test('a certificate of another repository does not count', () => {
    expect(usableUntil(keys, gunOf('docker.io/library/busybox'), 1n)).toBeUndefined();
  });
});
