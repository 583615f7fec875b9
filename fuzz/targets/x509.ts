import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { isChained, readCertificate as readOfToken } from '../../apps/api/src/auth/chain.ts';
import { flawOf, readCertificate } from '../../libs/tuf/src/certificates.ts';
import type { Target } from '../target.ts';

const vector = new URL('../../fixtures/vectors/notary/notary-0.7/root.json', import.meta.url);

/** DER, as root keys and the chains of tokens bring it. */
export const x509: Target = {
  name: 'x509',
  words: [
    '\u0030',
    '\u0006',
    '\u0002',
    '\u0004',
    '\u0005',
    '\u0001',
    '\u0003',
    'UTC',
    '260101000000Z',
  ],
  runs: 3_000,
  open: () => {
    const seed = firstDer(readFileSync(vector, 'utf8'));
    const bundle = [readOfToken(seed)];
    return {
      seeds: [seed],
      run: (input) => {
        const certificate = readCertificate(input);
        if (certificate !== undefined) flawOf(certificate);
        let chained: ReturnType<typeof readOfToken>;
        try {
          chained = readOfToken(input);
        } catch {
          return certificate === undefined ? 'refusal' : 'value';
        }
        const isSeed = chained.x509.raw.equals(Buffer.from(seed));
        if (isChained(chained, [chained], bundle, new Date()) && !isSeed) {
          throw new Error('a changed certificate is trusted');
        }
        return 'value';
      },
    };
  },
};

/** The certificate in a root that the real client made. */
function firstDer(root: string): Uint8Array {
  for (const [, base64 = ''] of root.matchAll(/"public":"([^"]+)"/g)) {
    const pem = Buffer.from(base64, 'base64').toString('latin1');
    if (pem.startsWith('-----BEGIN CERTIFICATE-----')) return new X509Certificate(pem).raw;
  }
  throw new Error('there is no certificate in it');
}
