import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { parseGun } from '@scrivener/tuf';
import { readCertificate } from '../../apps/api/src/auth/chain.ts';
import { createAuthenticate } from '../../apps/api/src/auth/authenticate.ts';
import { NotaryError } from '../../apps/api/src/errors.ts';
import {
  certify,
  goodClaims,
  ISSUER,
  SERVICE,
  signToken,
} from '../../apps/api/src/testing/tokens.ts';
import { bytesOf, expectSame, verdictOf, type Target } from '../target.ts';

/** The input is the `Authorization` header: it lets in, or the answer is 401 with a challenge. */
export const token: Target = {
  name: 'token',
  words: [
    'Bearer ',
    '.',
    'eyJhbGciOiJub25lIn0',
    'eyJ',
    '=',
    '-',
    '_',
    ' ',
    'Basic ',
    'e30',
    'bnVsbA',
  ],
  runs: 300,
  open: async () => {
    const root = await certify({ name: 'root', ca: true });
    const leaf = await certify({ name: 'leaf', issuer: root });
    const authenticate = createAuthenticate({
      realm: 'https://tokens.example/',
      issuer: ISSUER,
      service: SERVICE,
      autoredirect: true,
      rootCertBundle: [readCertificate(root.certificate.raw)],
      now: () => new Date(),
    });
    const gun = parseGun('a');
    if (gun === undefined) throw new Error('a is a GUN');
    const route = { operation: 'GetRole', gun, role: 'root' } as const;
    const good = await signToken(leaf.privateKey, { alg: 'ES256', x5c: [leaf.x5c] }, goodClaims());
    const ofRoot = await signToken(
      root.privateKey,
      { alg: 'ES256', x5c: [root.x5c] },
      goodClaims(),
    );
    const authorizations = [good, ofRoot].map((token) => `Bearer ${token}`);
    return {
      seeds: authorizations.map(bytesOf),
      run: async (input) => {
        const request = new IncomingMessage(new Socket());
        const authorization = Buffer.from(input).toString('latin1');
        request.headers = { host: authorization.slice(-9), authorization };
        const verdict = await verdictOf(async () => {
          try {
            await authenticate(request, route);
          } catch (error) {
            if (error instanceof NotaryError) expectSame(error.status, 401, 'another status');
            throw error;
          }
        }, NotaryError);
        // Its head and body are signed; of the scheme only the case may change.
        const given = authorization.slice('Bearer '.length);
        const isKnown = [good, ofRoot].some((token) => sameSignedPart(token, given));
        if (verdict === 'value' && !isKnown) throw new Error('a changed token lets in');
        return verdict;
      },
    };
  },
};

function sameSignedPart(token: string, given: string): boolean {
  return signedPartOf(token) === signedPartOf(given);
}

function signedPartOf(token: string): string {
  return token.slice(0, token.lastIndexOf('.')).replaceAll('=', '');
}
