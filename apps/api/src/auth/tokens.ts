import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Certificate } from './chain.ts';
import { createKeyring } from './keys.ts';
import {
  checkClaims,
  parseToken,
  readClaims,
  verifySignature,
  type Claims,
  type Token,
} from './token.ts';

export interface TokensOptions {
  /** The `iss` of good tokens. */
  readonly issuer: string;
  /** Their `aud`. */
  readonly service: string;
  /** The root certificate bundle, at least one. */
  readonly rootCertBundle: readonly Certificate[];
  readonly now: () => Date;
}

/** Tells good tokens from others, and remembers the good ones: clients show each of them many times. */
export interface Tokens {
  /** What a token says that is good at this moment. Throws, and not only `TokenError`. */
  claimsOf(compact: string): Promise<Claims>;
  /** The same, at once, of a token that was good before and is so now; else undefined. */
  recall(compact: string): Claims | undefined;
}

/** A token whose signature was found good. */
interface Verified {
  readonly claims: Claims;
  /** Between these two, in milliseconds of the epoch, it still is: they are those of certificates. */
  readonly from: number;
  readonly until: number;
}

/** Bytes of good tokens that are remembered, roughly: some thousand. */
const REMEMBERED = 4 * 1024 * 1024;

/** Who and when a token is for is looked at each time. What is remembered is known by a digest: no token stays in memory. */
export function createTokens({ issuer, service, rootCertBundle, now }: TokensOptions): Tokens {
  const keyring = createKeyring(rootCertBundle);
  const good = new LRUCache<string, Verified>({ maxSize: REMEMBERED });
  const expected = () => ({ issuer, audience: service, now: now() });

  const find = (digest: string): Claims | undefined => {
    const verified = good.get(digest);
    if (verified === undefined) return undefined;
    const at = now().getTime();
    return verified.from <= at && at <= verified.until ? verified.claims : undefined;
  };

  return {
    async claimsOf(compact) {
      const digest = digestOf(compact);
      const found = find(digest);
      if (found !== undefined) {
        checkClaims(found, expected());
        return found;
      }
      const token = parseToken(compact);
      const at = now();
      const { key, until } = keyring.keyOf(token.header, at);
      await verifySignature(token, key);
      const claims = readClaims(token);
      checkClaims(claims, expected());
      good.set(digest, { claims, from: at.getTime(), until }, { size: sizeOf(token) });
      return claims;
    },

    recall(compact) {
      const claims = find(digestOf(compact));
      try {
        if (claims !== undefined) checkClaims(claims, expected());
        return claims;
      } catch {
        return undefined;
      }
    },
  };
}

function digestOf(compact: string): string {
  return hash('sha256', compact, 'base64');
}

/** What the claims take, from above: an entry of 80 characters in base64 becomes an object, a list and three strings. */
function sizeOf({ body }: Token): number {
  return 1_000 + 6 * body.length;
}
