// oxlint-disable-next-line no-restricted-imports -- vectors are files
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { verifySignature } from './algorithms.ts';
import { derValues } from './der.ts';
import type { PublicKey } from './key.ts';
import { der } from './testing/x509.ts';

/**
 * No registry that this project uses carries the vectors, and they are not ours to copy. With a
 * checkout of C2SP/wycheproof: `WYCHEPROOF_VECTORS=…/testvectors_v1 npm test -- libs/tuf`.
 */
const folder = process.env['WYCHEPROOF_VECTORS'];

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly msg: string;
  readonly sig: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

interface Group {
  readonly publicKeyDer: string;
  readonly publicKey: { readonly pk?: string };
  readonly tests: readonly Vector[];
}

/** Published vectors with the key of each, the comment first for the sake of test reports. */
function wycheproof(name: string): { group: Group; vector: Vector }[] {
  const text = readFileSync(`${folder}/${name}_test.json`, 'utf8');
  const { testGroups } = JSON.parse(text) as { testGroups: Group[] };
  return testGroups.flatMap((group) => group.tests.map((vector) => ({ group, vector })));
}

const hex = (text: string) => Buffer.from(text, 'hex');
const publicKey = (keytype: string, bytes: Uint8Array): PublicKey => ({
  keytype,
  public: Buffer.from(bytes).toString('base64'),
});

if (folder === undefined) console.warn('Wycheproof is skipped: WYCHEPROOF_VECTORS is not set');

describe.skipIf(folder === undefined)('Wycheproof', () => {
  test.each([
    ['ecdsa_secp224r1_sha256_p1363', 'ecdsa', 'ecdsa'],
    ['ecdsa_secp256r1_sha256_p1363', 'ecdsa', 'ecdsa'],
    ['rsa_pss_2048_sha256_mgf1_32', 'rsa', 'rsapss'],
    ['rsa_signature_2048_sha256', 'rsa', 'rsapkcs1v15'],
    ['ed25519', 'ed25519', 'eddsa'],
  ])('%s: accepts the valid signatures and no others', (name, keytype, method) => {
    const vectors = wycheproof(name);
    const wrong = vectors.filter(({ group, vector }) => {
      const bytes = keytype === 'ed25519' ? group.publicKey.pk : group.publicKeyDer;
      const key = publicKey(keytype, hex(bytes ?? ''));
      const accepted = verifySignature(key, method, hex(vector.msg), hex(vector.sig));
      return accepted !== (vector.result === 'valid');
    });

    expect(vectors.length).toBeGreaterThan(100);
    expect(wrong.map(({ vector }) => `${vector.tcId} ${vector.comment}`)).toEqual([]);
  });

  test('ecdsa_secp384r1_sha256, turned from DER into r‖s: accepts the valid signatures', () => {
    const vectors = wycheproof('ecdsa_secp384r1_sha256').flatMap(({ group, vector }) => {
      const sig = p1363(hex(vector.sig), 48);
      return sig === undefined ? [] : [{ group, vector, sig }];
    });
    const wrong = vectors.filter(({ group, vector, sig }) => {
      const key = publicKey('ecdsa', hex(group.publicKeyDer));
      return verifySignature(key, 'ecdsa', hex(vector.msg), sig) !== (vector.result === 'valid');
    });

    expect(vectors.length).toBeGreaterThan(100);
    expect(wrong.map(({ vector }) => `${vector.tcId} ${vector.comment}`)).toEqual([]);
  });
});

/** r‖s of a DER signature; undefined where it is not DER or r and s are too large or negative. */
function p1363(signature: Uint8Array, length: number): Uint8Array | undefined {
  try {
    const [sequence] = derValues(signature);
    const integers = derValues(sequence?.content ?? Buffer.of());
    const written = der(0x30, ...integers.map(({ tag, content }) => der(tag, content)));
    const plain = integers.map(({ content }) =>
      content[0] === 0 && (content[1] ?? 0) >= 0x80 ? content.subarray(1) : content,
    );
    const minimal = integers.every(
      ({ tag, content }, index) =>
        tag === 2 &&
        (content[0] ?? 0) < 0x80 &&
        (content.length === 1 || content[0] !== 0 || plain[index] !== content),
    );
    if (integers.length !== 2 || !minimal || !Buffer.from(written).equals(signature)) {
      return undefined;
    }
    if (plain.some((bytes) => bytes.length > length)) return undefined;
    return Buffer.concat(
      plain.flatMap((bytes) => [Buffer.alloc(length - bytes.length), Buffer.from(bytes)]),
    );
  } catch {
    return undefined;
  }
}
