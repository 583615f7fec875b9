import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { verifySignature } from './algorithms.ts';
import type { PublicKey } from './key.ts';
import { writeCertificate } from './testing/x509.ts';
import { certificatePem } from './pem.ts';

/** Big-endian. */
const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
/** Little-endian, 32 bytes. */
const little = (value: bigint) =>
  Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toReversed();
const publicKey = (keytype: string, bytes: Uint8Array): PublicKey => ({
  keytype,
  public: Buffer.from(bytes).toString('base64'),
});
const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'der' });

describe('every method', () => {
  const payload = Buffer.from('{"_type":"Targets"}');
  const curves = { 'P-224': 28, 'P-256': 32, 'P-384': 48, 'P-521': 66 };
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pss = (key: KeyObject, saltLength: number) =>
    sign('sha256', payload, { key, padding: 6, saltLength });

  test.each(Object.entries(curves))(
    'ecdsa on %s: r‖s over SHA-256, either s, and no other length or form',
    (namedCurve, length) => {
      const pair = generateKeyPairSync('ec', { namedCurve });
      const key = publicKey('ecdsa', spki(pair.publicKey));
      const sig = sign('sha256', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
      const verifies = (sig: Uint8Array) => verifySignature(key, 'ecdsa', payload, sig);

      expect(verifies(sign('sha256', payload, pair.privateKey))).toBe(false);
      expect(
        verifies(sign('sha512', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })),
      ).toBe(false);
      expect(verifies(Buffer.concat([Buffer.alloc(1), sig]))).toBe(false);
      expect(verifies(sig.subarray(1))).toBe(false);
      expect(verifies(Buffer.alloc(0))).toBe(false);
      expect(verifies(Buffer.alloc(2 * length))).toBe(false);
      expect(verifies(Buffer.concat([Buffer.alloc(length), sig.subarray(length)]))).toBe(false);
      expect(verifies(Buffer.alloc(2 * length, 0xff))).toBe(false);
      expect(verifies(sig)).toBe(true);
    },
  );

  test.each(Object.entries(curves))(
    'ecdsa on %s: no key with its point in the hybrid form, which Go does not read',
    (namedCurve, length) => {
      const pair = generateKeyPairSync('ec', { namedCurve });
      const sig = sign('sha256', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
      const plain = spki(pair.publicKey);
      const hybrid = Buffer.from(plain);
      hybrid[plain.length - 2 * length - 1] = 0x06 | ((plain.at(-1) ?? 0) & 1);
      const verifies = (bytes: Uint8Array) =>
        verifySignature(publicKey('ecdsa', bytes), 'ecdsa', payload, sig);

      expect(verifies(plain)).toBe(true);
      expect(verifies(hybrid)).toBe(false);
    },
  );

  test('ecdsa: no key with a compressed point, which Go does not read', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const sig = sign('sha256', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
    const plain = spki(pair.publicKey);
    const y = 0x02 | ((plain.at(-1) ?? 0) & 1);
    const compressed = Buffer.concat([
      plain.subarray(0, -65),
      Buffer.of(y),
      plain.subarray(-64, -32),
    ]);
    compressed[1] = (compressed[1] ?? 0) - 32;
    compressed[24] = (compressed[24] ?? 0) - 32;

    expect(
      createPublicKey({ key: compressed, format: 'der', type: 'spki' }).equals(pair.publicKey),
    ).toBe(true);
    expect(verifySignature(publicKey('ecdsa', compressed), 'ecdsa', payload, sig)).toBe(false);
  });

  test.each([
    ['P-224', 28, 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn],
    ['P-256', 32, p256.Point.Fn.ORDER],
    ['P-384', 48, p384.Point.Fn.ORDER],
    ['P-521', 66, p521.Point.Fn.ORDER],
  ])(
    'ecdsa on %s: no r or s that is 0, not below the order, or another number',
    (name, length, n) => {
      const pair = generateKeyPairSync('ec', { namedCurve: name });
      const key = publicKey('ecdsa', spki(pair.publicKey));
      const sig = sign('sha256', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
      const bytes = (value: bigint) =>
        Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');
      const [r, s] = [number(sig.subarray(0, length)), number(sig.subarray(length))];
      const others = [0n, 1n, n - 1n, n, n + 1n, 2n * n];
      const pairs = [
        ...others.flatMap((other) => [[r, other] as const, [other, s] as const]),
        ...others.map((other) => [other, other] as const),
        [s, r],
        [r + n, s],
        [r, s + n],
        [n - r, s],
      ] as const;
      const fitting = pairs.filter(
        ([a, b]) => bytes(a).length === length && bytes(b).length === length,
      );

      expect(fitting.length).toBeGreaterThan(10);
      for (const [a, b] of fitting) {
        const forged = Buffer.concat([bytes(a), bytes(b)]);
        expect(verifySignature(key, 'ecdsa', payload, forged)).toBe(false);
      }
    },
  );

  test('Ed25519: no s beyond the order, and no key or point of small order', () => {
    const secret = ed25519.utils.randomSecretKey();
    const key = publicKey('ed25519', ed25519.getPublicKey(secret));
    const sig = Buffer.from(ed25519.sign(payload, secret));
    const s = number(sig.subarray(32).toReversed());
    const withS = (value: bigint) => Buffer.concat([sig.subarray(0, 32), little(value)]);
    const identity = little(1n);

    expect(verifySignature(key, 'eddsa', payload, withS(s))).toBe(true);
    for (const value of [0n, s + 1n, s + ed25519.Point.Fn.ORDER, 2n ** 256n - 1n]) {
      expect(verifySignature(key, 'eddsa', payload, withS(value))).toBe(false);
    }
    const nobodys = Buffer.concat([identity, little(0n)]);
    expect(verifySignature(key, 'eddsa', payload, nobodys)).toBe(false);
  });

  test('ecdsa with a high s, as Go writes half of the time, verifies as well as one with a low s', () => {
    const secret = p256.utils.randomSecretKey();
    const point = p256.getPublicKey(secret, false);
    const head = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
    const key = publicKey('ecdsa', Buffer.concat([head, point]));
    const low = p256.sign(payload, secret, { lowS: true });
    const { r, s } = p256.Signature.fromBytes(low);
    const high = new p256.Signature(r, p256.Point.Fn.ORDER - s).toBytes();

    expect(verifySignature(key, 'ecdsa', payload, high)).toBe(true);
    expect(verifySignature(key, 'ecdsa', payload, low)).toBe(true);
  });

  test.each([
    ['P-256', p256, 65],
    ['P-384', p384, 97],
    ['P-521', p521, 133],
  ] as const)('node:crypto and noble agree on %s', (namedCurve, curve, pointLength) => {
    const pair = generateKeyPairSync('ec', { namedCurve });
    const key = publicKey('ecdsa', spki(pair.publicKey));
    const point = spki(pair.publicKey).subarray(-pointLength);
    for (let round = 0; round < 8; round++) {
      const sig = sign('sha256', payload, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
      const broken = Buffer.from(sig);
      broken[round * 3] = (broken[round * 3] ?? 0) ^ 1;
      const byNoble = (sig: Uint8Array) =>
        curve.verify(sig, sha256(payload), point, { lowS: false, prehash: false });
      for (const each of [sig, broken]) {
        expect(verifySignature(key, 'ecdsa', payload, each)).toBe(byNoble(each));
      }
    }
  });

  test('node:crypto and noble agree on Ed25519', () => {
    const secret = ed25519.utils.randomSecretKey();
    const key = publicKey('ed25519', ed25519.getPublicKey(secret));
    const sig = Buffer.from(ed25519.sign(payload, secret));
    for (let at = 0; at < 64; at += 7) {
      const broken = Buffer.from(sig);
      broken[at] = (broken[at] ?? 0) ^ 1;
      expect(verifySignature(key, 'eddsa', payload, broken)).toBe(false);
      expect(ed25519.verify(broken, payload, ed25519.getPublicKey(secret))).toBe(false);
    }
    expect(verifySignature(key, 'eddsa', payload, sig.subarray(1))).toBe(false);
    expect(verifySignature(key, 'eddsa', payload, sig)).toBe(true);
  });

  test('rsapss: a salt of exactly 32 bytes', () => {
    const key = publicKey('rsa', spki(rsa.publicKey));

    expect(verifySignature(key, 'rsapss', payload, pss(rsa.privateKey, 20))).toBe(false);
    expect(verifySignature(key, 'rsapss', payload, pss(rsa.privateKey, 222))).toBe(false);
    expect(verifySignature(key, 'rsapss', payload, pss(rsa.privateKey, 32))).toBe(true);
  });

  test('pycrypto-pkcs#1 pss: as rsapss, but the public bytes are PEM', () => {
    const pem = Buffer.from(rsa.publicKey.export({ type: 'spki', format: 'pem' }));
    const method = 'pycrypto-pkcs#1 pss';
    const sig = pss(rsa.privateKey, 32);

    expect(verifySignature(publicKey('rsa', spki(rsa.publicKey)), method, payload, sig)).toBe(
      false,
    );
    expect(verifySignature(publicKey('rsa', pem), 'rsapss', payload, sig)).toBe(false);
    expect(verifySignature(publicKey('rsa', pem), method, payload, sig)).toBe(true);
  });

  test('an RSA key under 2048 bits verifies nothing', () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 2040 });
    const key = publicKey('rsa', spki(short.publicKey));

    expect(verifySignature(key, 'rsapss', payload, pss(short.privateKey, 32))).toBe(false);
    expect(
      verifySignature(key, 'rsapkcs1v15', payload, sign('sha256', payload, short.privateKey)),
    ).toBe(false);
  });

  test('certificate keys verify with the key of their first certificate, expired or not', () => {
    const sig = sign('sha256', payload, rsa.privateKey);
    const certificate = writeCertificate({
      commonNames: ['anybody'],
      notBefore: new Date('2010-01-01'),
      notAfter: new Date('2011-01-01'),
      subjectPublicKeyInfo: spki(rsa.publicKey),
      signatureAlgorithm: 'rsaWithSha256',
      sign: (toBeSigned) => sign('sha256', toBeSigned, rsa.privateKey),
    });
    const pem = Buffer.from(certificatePem(certificate));

    expect(verifySignature(publicKey('ecdsa-x509', pem), 'ecdsa', payload, sig)).toBe(false);
    expect(verifySignature(publicKey('rsa', pem), 'rsapkcs1v15', payload, sig)).toBe(false);
    expect(verifySignature(publicKey('rsa-x509', pem), 'rsapkcs1v15', payload, sig)).toBe(true);
    expect(
      verifySignature(publicKey('rsa-x509', pem), 'rsapss', payload, pss(rsa.privateKey, 32)),
    ).toBe(true);
  });

  test.each([
    ['an unknown key type', 'ED25519', 'eddsa'],
    ['an unknown method', 'ed25519', 'ed25519'],
    ['a method of another key type', 'ed25519', 'ecdsa'],
    ['a name that every object has', 'ed25519', 'constructor'],
    ['a key type that every object has', 'constructor', 'eddsa'],
    ['a key that is none', 'ecdsa', 'ecdsa'],
    ['a key that is no certificate', 'rsa-x509', 'rsapss'],
  ])('%s verifies nothing', (_, keytype, method) => {
    const secret = ed25519.utils.randomSecretKey();
    const key = publicKey(keytype, ed25519.getPublicKey(secret));

    expect(verifySignature(key, method, payload, ed25519.sign(payload, secret))).toBe(false);
  });

  test('bytes behind a public key make it no key', () => {
    const key = publicKey('rsa', Buffer.concat([spki(rsa.publicKey), Buffer.of(0)]));
    const sig = sign('sha256', payload, rsa.privateKey);

    expect(verifySignature(key, 'rsapkcs1v15', payload, sig)).toBe(false);
  });
});
