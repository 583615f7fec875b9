import { verifySignature } from '../../libs/tuf/src/algorithms.ts';
import { encodeBase64 } from '../../libs/tuf/src/base64.ts';
import { ownKey } from '../../libs/tuf/src/testing/keys.ts';
import { generateServerKey } from '@scrivener/tuf';
import type { Target } from '../target.ts';

const PAYLOAD = new TextEncoder().encode('what was signed');
const TYPES = ['ed25519', 'ecdsa', 'rsa', 'ecdsa-x509', 'rsa-x509', '', '__proto__', 'toString'];
const METHODS = ['eddsa', 'ecdsa', 'rsapss', 'rsapkcs1v15', 'pycrypto-pkcs#1 pss', '__proto__'];

/**
 * The input is: a type, a method, the length of the public bytes, these, and the signature. Whatever
 * they are, a signature counts or it does not; and none but the owner's counts.
 */
export const signature: Target = {
  name: 'signature',
  words: ['\u0030', '\u0006', '\u0007*\u0086H', '-----BEGIN PUBLIC KEY-----\n', '\0'],
  runs: 3_000,
  open: () => {
    const good = [generateServerKey('ed25519'), generateServerKey('ecdsa'), ownKey('fuzz')].map(
      (key) => {
        const { keytype, public: text } = key.publicKey;
        const { method, sig } = key.sign(PAYLOAD);
        const bytes = Buffer.from(text, 'base64');
        const head = [TYPES.indexOf(keytype), METHODS.indexOf(method), bytes.length];
        return Buffer.concat([Buffer.from(head), bytes, Buffer.from(sig, 'base64')]);
      },
    );
    const owned = new Set(good.map((input) => publicBytes(input).toString('base64')));
    return {
      seeds: good,
      run: (input) => {
        const [type = 0, method = 0] = input;
        const bytes = publicBytes(input);
        const key = { keytype: TYPES[type % TYPES.length] ?? '', public: encodeBase64(bytes) };
        const sig = input.subarray(3 + bytes.length);
        const counts = verifySignature(key, METHODS[method % METHODS.length] ?? '', PAYLOAD, sig);
        if (!counts) return 'refusal';
        // A changed key may be one that somebody could sign with, but nobody did.
        const isOwn = owned.has(bytes.toString('base64'));
        if (!isOwn) throw new Error('a signature counts that nobody made');
        return 'value';
      },
    };
  },
};

function publicBytes(input: Uint8Array): Buffer {
  return Buffer.from(input.subarray(3, 3 + (input[2] ?? 0)));
}
