/** A header such as `form-data; name="files"; filename=root`. Names of parameters in lower case. */
export interface MediaType {
  /** In lower case: `multipart/form-data`, `attachment`. */
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const TYPE = /^[\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?$/;
const PARAMETER =
  /\s*;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:\\.|[^"\\\r\n])*)"|([\w!#$%&'*+.^`|~-]+))/sy;
/** What a backslash may escape; before anything else it stands for itself (`C:\temp`). */
const ESCAPED = /\\([()<>@,;:\\"/[\]?=])/g;

/**
 * Reads the value of `Content-Type` or `Content-Disposition` as strictly as Notary does (WIRE §5.2):
 * `undefined` where a parameter has no value, appears twice, or anything is left over. Understands
 * RFC 2231 (`filename*=UTF-8''root`, `filename*0=ro; filename*1=ot`).
 */
export function parseMediaType(value: string): MediaType | undefined {
  const end = value.indexOf(';');
  const type = (end === -1 ? value : value.slice(0, end)).trim().toLowerCase();
  if (!TYPE.test(type)) return undefined;

  const given = parseParameters(end === -1 ? '' : value.slice(end));
  return given && { type, parameters: assembled(given) };
}

function parseParameters(text: string): Map<string, string> | undefined {
  const given = new Map<string, string>();
  let at = 0;
  for (;;) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(text);
    if (match === null) break;
    const [{ length }, name = '', quoted, token = ''] = match;
    if (given.has(name.toLowerCase())) return undefined;
    given.set(name.toLowerCase(), quoted?.replace(ESCAPED, '$1') ?? token);
    at += length;
  }
  // A semicolon at the very end is fine; anything else there could not be read.
  return ['', ';'].includes(text.slice(at).trim()) ? given : undefined;
}

/** Puts the pieces of RFC 2231 together; they win over a plain parameter of the same name. */
function assembled(given: ReadonlyMap<string, string>): Map<string, string> {
  const parameters = new Map<string, string>();
  const starred = new Set<string>();
  for (const [name, value] of given) {
    const star = name.indexOf('*');
    if (star === -1) parameters.set(name, value);
    else starred.add(name.slice(0, star));
  }
  for (const name of starred) {
    const whole = given.get(`${name}*`);
    const value = whole === undefined ? joined(given, name) : decodeExtended(whole);
    if (value !== undefined) parameters.set(name, value);
  }
  return parameters;
}

function joined(given: ReadonlyMap<string, string>, name: string): string | undefined {
  let value: string | undefined;
  for (let n = 0; ; n += 1) {
    const encoded = given.get(`${name}*${n}*`);
    const piece =
      given.get(`${name}*${n}`) ??
      (encoded === undefined || n > 0
        ? encoded && decodePercent(encoded)
        : decodeExtended(encoded));
    if (piece === undefined) return value;
    value = (value ?? '') + piece;
  }
}

/** `charset'language'percent-encoded`, in the two character sets that Notary knew. */
function decodeExtended(text: string): string | undefined {
  const match = /^(?:utf-8|us-ascii)'[^']*'(.*)$/is.exec(text);
  return match?.[1] === undefined ? undefined : decodePercent(match[1]);
}

function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
