import type { KeyObject } from 'node:crypto';
import { compactVerify } from 'jose';
import { z } from 'zod';
import { TokenError } from './error.ts';

/** A token of which only the header was read, for nobody knows yet who made it. */
export interface Token {
  readonly compact: string;
  readonly header: TokenHeader;
  /** The claims in base64url. */
  readonly body: string;
}

/** More than a token with a chain of certificates and hundreds of repositories takes. */
const MAX_CHARACTERS = 64 * 1024;

/** As Go reads JSON: `null` and what is not there are the zero value. */
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const seconds = z
  .int64()
  .nullish()
  .transform((value) => value ?? 0n);
const list = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .nullish()
    .transform((value) => value ?? []);

const header = z.object({
  typ: text,
  alg: text,
  kid: text,
  x5c: list(z.unknown()),
  jwk: z.unknown().optional(),
  /** Whatever it is that must be understood, it is not. */
  crit: z.never().optional(),
});

const access = z.object({ type: text, class: text, name: text, actions: list(text) }).nullable();

const claims = z.object({
  iss: text,
  sub: text,
  aud: text,
  jti: text,
  exp: seconds,
  nbf: seconds,
  iat: seconds,
  access: list(access),
});

export type TokenHeader = z.output<typeof header>;
export type Claims = z.output<typeof claims>;

/** Three parts in base64url; whether their lengths and padding are right, `jose` looks at. */
const COMPACT = /^([\w-]+={0,2})\.([\w-]+={0,2})\.[\w-]+={0,2}$/;

/** Takes a token apart and reads its header. Throws where it is none. */
export function parseToken(compact: string): Token {
  if (compact.length > MAX_CHARACTERS) throw invalid('the token is too long');
  const [, head, body] = COMPACT.exec(compact) ?? [];
  if (head === undefined || body === undefined) {
    throw invalid('the token is not three parts in base64url');
  }
  return { compact, header: checked(header, JSON.parse(decode(head))), body };
}

function checked<Shape extends z.ZodType>(shape: Shape, value: unknown): z.output<Shape> {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalid(`not of the right type: ${parsed.error.issues[0]?.path.join('.')}`);
}

function invalid(message: string): TokenError {
  return new TokenError('INVALID_TOKEN', message);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(part: string): string {
  return utf8.decode(Buffer.from(part, 'base64url'));
}

/** Throws unless `key` made the signature, by an algorithm that is its own. */
export async function verifySignature({ compact }: Token, key: KeyObject): Promise<void> {
  await compactVerify(compact, key, { algorithms: algorithmsOf(key) });
}

/** The types of `lib.es5.d.ts` do not know yet that a reviver is told how a number was written. */
const parseJson = JSON.parse as (
  text: string,
  reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown;

/**
 * The claims of a token whose signature was found good: to read them takes much longer than to see
 * that a stranger wrote them. Integers are read as `bigint`; `1.0` and `1e3` are none.
 */
export function readClaims({ body }: Token): Claims {
  const value = parseJson(decode(body), (_name, member, { source }) =>
    typeof member === 'number' && source !== undefined && /^-?\d+$/.test(source)
      ? BigInt(source)
      : member,
  );
  return checked(claims, value);
}

/** Clocks may differ by that much, in seconds. */
const LEEWAY = 60n;

/** Whom a token is from, whom it is for, and when (WIRE §13.2). Throws `TokenError`. */
export function checkClaims(
  { iss, aud, exp, nbf }: Claims,
  expected: { readonly issuer: string; readonly audience: string; readonly now: Date },
): void {
  if (iss !== expected.issuer) throw invalid('the token is from somebody else');
  if (aud !== expected.audience) throw invalid('the token is for somebody else');
  const now = BigInt(expected.now.getTime());
  if (now > (exp + LEEWAY) * 1000n) throw invalid('the token has expired');
  if (now < (nbf - LEEWAY) * 1000n) throw invalid('the token is not valid yet');
}

const LAST_DATE = 8_640_000_000_000n;

/** When `checkClaims` no longer lets it pass. */
export function endOf({ exp }: Pick<Claims, 'exp'>): Date {
  const end = exp + LEEWAY;
  return new Date(Number(end < LAST_DATE ? end : LAST_DATE) * 1000);
}

/** `alg` of the tokens that a key may sign: ECDSA goes with the one digest of the curve. */
export function algorithmsOf(key: KeyObject): string[] {
  if (key.asymmetricKeyType === 'rsa') return ['RS256', 'RS384', 'RS512'];
  const algorithm = ALGORITHM_OF_CURVE.get(key.asymmetricKeyDetails?.namedCurve ?? '');
  return algorithm === undefined ? [] : [algorithm];
}

const ALGORITHM_OF_CURVE: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'ES256'],
  ['secp384r1', 'ES384'],
  ['secp521r1', 'ES512'],
]);
