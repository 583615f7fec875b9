import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { keyId, renderPublicKey } from './key.ts';

test('a key id is the SHA-256 of the key in canonical JSON (WIRE §7.4)', () => {
  const text = '{"keytype":"ed25519","keyval":{"private":null,"public":"QUJD"}}';
  const id = createHash('sha256').update(text).digest('hex');

  expect(keyId({ keytype: 'ed25519', public: 'QUJD' })).toBe(id);
});

test('a key download has public before private (WIRE §4)', () => {
  expect(renderPublicKey({ keytype: 'ecdsa', public: 'Q+/=' })).toBe(
    '{"keytype":"ecdsa","keyval":{"public":"Q+/=","private":null}}',
  );
});
