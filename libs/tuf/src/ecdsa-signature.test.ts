import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { assert, nat, property, tuple, uint8Array } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromDerSignature, toDerSignature } from './ecdsa-signature.ts';

describe('signatures of ECDSA', () => {
  test.each([
    ['P-224', 28],
    ['P-256', 32],
    ['P-384', 48],
    ['P-521', 66],
  ])('OpenSSL believes what became of its own in either form: %s', (namedCurve, length) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    for (let nth = 0; nth < 20; nth += 1) {
      const payload = Buffer.from(`payload ${nth}`);
      const der = sign('sha256', payload, privateKey);
      const fixed = fromDerSignature(der, length);
      expect(fixed.length).toBe(2 * length);
      const dsaEncoding = 'ieee-p1363';
      expect(verify('sha256', payload, { key: publicKey, dsaEncoding }, fixed)).toBe(true);
      expect(toDerSignature(fixed)).toEqual(der);
    }
  });

  test('r and s of any size come back', () => {
    const half = tuple(nat({ max: 66 }), uint8Array({ minLength: 66, maxLength: 66 })).map(
      ([zeros, bytes]) => bytes.fill(0, 0, zeros),
    );
    assert(
      property(half, half, (r, s) => {
        const fixed = new Uint8Array([...r, ...s]);
        expect(fromDerSignature(toDerSignature(fixed), 66)).toEqual(fixed);
      }),
    );
  });

  test('0 is an integer of one byte, as DER wants it', () => {
    expect(toDerSignature(new Uint8Array(64)).toString('hex')).toBe('3006020100020100');
  });
});
