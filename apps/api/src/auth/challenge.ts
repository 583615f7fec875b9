import type { TokenError } from './error.ts';

/** What a request asks for. */
export interface Wanted {
  readonly type: 'repository' | 'registry';
  readonly name: string;
  /** All of them are needed. */
  readonly actions: readonly string[];
}

/** Where tokens are to be had. */
export interface Challenger {
  readonly realm: string;
  readonly service: string;
  /** Takes `https://<Host>/auth/token` for the realm. */
  readonly autoredirect: boolean;
}

const errors: Record<TokenError['code'], string> = {
  NO_TOKEN: '',
  INVALID_TOKEN: ',error="invalid_token"',
  INSUFFICIENT_SCOPE: ',error="insufficient_scope"',
};

/** The value of `WWW-Authenticate` (WIRE §13.1): no blanks, for clients that know no others. */
export function challenge(
  { realm, service, autoredirect }: Challenger,
  host: string,
  { type, name, actions }: Wanted,
  code: TokenError['code'],
): string {
  const where = quote(autoredirect ? `https://${host}/auth/token` : realm);
  const scope = quote(`${type}:${name}:${actions.join(',')}`);
  return `Bearer realm=${where},service=${quote(service)},scope=${scope}${errors[code]}`;
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

/**
 * Quotes as Go does, and so leaves nothing that could end a header. A header is bytes, and Node writes
 * one for each character: text beyond ASCII becomes the characters that its UTF-8 has the numbers of.
 */
function quote(text: string): string {
  const quoted = text.replace(/["\\]|[^ \p{L}\p{M}\p{N}\p{P}\p{S}]/gu, escape);
  return `"${Buffer.from(quoted).toString('latin1')}"`;
}

function escape(character: string): string {
  const named = NAMED.get(character);
  if (named !== undefined) return named;
  const code = character.codePointAt(0) ?? 0;
  const hex = (digits: number) => code.toString(16).padStart(digits, '0');
  if (code < 0x20 || code === 0x7f) return `\\x${hex(2)}`;
  return code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
}
