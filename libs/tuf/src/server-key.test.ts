import { createPrivateKey, createPublicKey } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { verifySignature } from './algorithms.ts';
import { keyId } from './key.ts';
import { generateServerKey, importServerKey, serverKey } from './server-key.ts';

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const hex = (text: string) => Buffer.from(text, 'hex');
const signatureHex = (sig: string) => Buffer.from(sig, 'base64').toString('hex');

describe('published vectors', () => {
  const secret = hex('c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721');

  test.each([
    [
      'sample',
      'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
      'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    ],
    [
      'test',
      'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367',
      '019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083',
    ],
  ])('RFC 6979 A.2.5: the key of P-256 has signed "%s"', (message, r, s) => {
    const { publicKey } = serverKey('ecdsa', secret);

    expect(verifySignature(publicKey, 'ecdsa', Buffer.from(message), hex(r + s))).toBe(true);
    expect(verifySignature(publicKey, 'ecdsa', Buffer.from(`${message}.`), hex(r + s))).toBe(false);
  });

  test.each([
    [
      'TEST 1',
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      'TEST 2',
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'TEST 3',
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('RFC 8032 §7.1, %s', (_, secretKey, publicKey, message, signature) => {
    const key = serverKey('ed25519', hex(secretKey));

    expect(Buffer.from(key.publicKey.public, 'base64').toString('hex')).toBe(publicKey);
    expect(signatureHex(key.sign(hex(message)).sig)).toBe(signature);
  });
});

describe.each(['ed25519', 'ecdsa'] as const)('%s', (algorithm) => {
  const payload = Buffer.from('{"_type":"Timestamp"}');

  test('is exported and imported as the same key', () => {
    const key = generateServerKey(algorithm);
    const again = importServerKey(algorithm, key.exportPrivate());

    expect(again.publicKey).toEqual(key.publicKey);
    expect(again.keyid).toBe(keyId(key.publicKey));
    expect(again.exportPrivate()).toEqual(key.exportPrivate());
    const { method, sig } = again.sign(payload);
    expect(verifySignature(key.publicKey, method, payload, Buffer.from(sig, 'base64'))).toBe(true);
  });

  test('is still itself when the bytes that it was exported to are overwritten', () => {
    const key = generateServerKey(algorithm);
    const before = Buffer.from(key.exportPrivate());

    key.exportPrivate().fill(0);

    expect(Buffer.from(key.exportPrivate())).toEqual(before);
  });

  test('signs what its public half verifies', () => {
    const { publicKey, method, sign } = generateServerKey(algorithm);
    const signature = sign(payload);

    expect(signature.method).toBe(method);
    expect(verifySignature(publicKey, method, payload, Buffer.from(signature.sig, 'base64'))).toBe(
      true,
    );
  });

  test.each([
    ['nothing', () => Buffer.alloc(0)],
    ['bytes that are too few', (bytes: Uint8Array) => bytes.slice(1)],
    ['bytes that are too many', (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.of(0)])],
    ['the public half of another key', (bytes: Uint8Array) => withLastByteChanged(bytes)],
  ])('refuses to import %s', (_, change) => {
    const bytes = generateServerKey(algorithm).exportPrivate();

    expect(() => importServerKey(algorithm, change(bytes))).toThrow(RangeError);
  });
});

function withLastByteChanged(bytes: Uint8Array): Uint8Array {
  const changed = Buffer.from(bytes);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  return changed;
}

describe('OpenSSL, which signs, and noble agree', () => {
  const payloads = Array.from({ length: 16 }, (_, length) => Buffer.alloc(length * 37, length));

  test('on P-256: both find the same public half, and each believes the other', () => {
    const secret = p256.utils.randomSecretKey();
    const key = serverKey('ecdsa', secret);
    const point = p256.getPublicKey(secret, false);

    expect(bytesOf(key.publicKey.public).subarray(-65)).toEqual(point);
    for (const payload of payloads) {
      const ours = bytesOf(key.sign(payload).sig);
      const theirs = p256.sign(payload, secret, { lowS: false });
      expect(p256.verify(ours, payload, point, { lowS: false })).toBe(true);
      expect(verifySignature(key.publicKey, 'ecdsa', payload, theirs)).toBe(true);
    }
  });

  test('on Ed25519: both make the same bytes', () => {
    const secret = ed25519.utils.randomSecretKey();
    const key = serverKey('ed25519', secret);

    expect(bytesOf(key.publicKey.public)).toEqual(ed25519.getPublicKey(secret));
    for (const payload of payloads) {
      expect(bytesOf(key.sign(payload).sig)).toEqual(ed25519.sign(payload, secret));
    }
  });
});

test('private bytes have the form and length of the old signer (SIGNER §2.2)', () => {
  const edwards = generateServerKey('ed25519');
  const ecdsa = generateServerKey('ecdsa');
  const packed = Buffer.from(edwards.exportPrivate());
  const sec1 = Buffer.from(ecdsa.exportPrivate());
  const parsed = createPrivateKey({ key: sec1, format: 'der', type: 'sec1' });

  expect(packed.length).toBe(96);
  expect(packed.subarray(0, 32).toString('base64')).toBe(edwards.publicKey.public);
  expect(packed.subarray(64)).toEqual(packed.subarray(0, 32));
  expect(sec1.length).toBe(121);
  expect(createPublicKey(parsed).export({ format: 'der', type: 'spki' }).toString('base64')).toBe(
    ecdsa.publicKey.public,
  );
  expect(parsed.export({ format: 'der', type: 'sec1' })).toEqual(sec1);
});
