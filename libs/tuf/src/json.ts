/**
 * JSON as the old server read it: the last of several equal members wins, number literals are kept
 * (an int64 does not fit a double), nesting may go 10000 deep, and what follows the document is
 * left to the caller.
 */
export type Json = null | boolean | string | number | JsonNumber | readonly Json[] | JsonObject;

/** A Map, because a member may be called `__proto__`. */
export type JsonObject = ReadonlyMap<string, Json>;

/** A number that is not a plain integer of up to 15 digits, as it was written. */
export class JsonNumber {
  readonly literal: string;

  constructor(literal: string) {
    this.literal = literal;
  }
}

/** Part of a text, by its UTF-16 units: `end` is behind it. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

export interface JsonDocument {
  readonly value: Json;
  /** The first character behind the document that is not white space; undefined where all is well. */
  readonly trailing: string | undefined;
  /** Where the member that was asked for is written; undefined where that is not canonical JSON. */
  readonly canonical: Place | undefined;
}

const MAX_DEPTH = 10_000;

/** What a backslash and a letter stand for, but for `u`. */
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** Reads an object by itself that begins at `at`, if it is of the kind it knows, and canonical. */
export type Scan = (
  text: string,
  at: number,
) => { readonly value: JsonObject; readonly end: number } | undefined;

/** The member of the document that matters. */
export interface Watched {
  readonly member: string;
  /** What may read members of that member in place of the reader, by their names. */
  readonly scans: ReadonlyMap<string, Scan>;
}

/**
 * Reads the first document in `text`, and tells whether the member that is watched is written as
 * `canonicalJson` would write it: real clients send it so, and then nobody has to write it again.
 * Says no in case of doubt. Throws `SyntaxError`.
 */
export function readJson(text: string, watched?: Watched): JsonDocument {
  return new Reader(text, watched).document();
}

/** Where they are, the order of UTF-16 units may not be that of bytes. */
const SURROGATES = /[\ud800-\udfff]/;

interface OpenObject {
  readonly members: Map<string, Json>;
  /** Of the member whose value comes next. */
  name: string;
}
type Open = OpenObject | Json[];

function isObject(open: Open | undefined): open is OpenObject {
  return open !== undefined && !Array.isArray(open);
}

/** Keeps its own stack of open containers: 10000 calls deep would overflow the real one. */
class Reader {
  readonly #text: string;
  readonly #watched: Watched | undefined;
  #at = 0;
  readonly #open: Open[] = [];
  /** Of the watched member: where it begins, and where it stands if it is canonical. */
  #start = 0;
  #canonical: Place | undefined;
  /** Whether all since `start` is written as canonical JSON is. */
  #isCanonical = false;

  constructor(text: string, watched: Watched | undefined) {
    this.#text = text;
    this.#watched = watched;
  }

  document(): JsonDocument {
    const value = this.#value();
    this.#skipSpace();
    const behind = this.#text.codePointAt(this.#at);
    return {
      value,
      trailing: behind === undefined ? undefined : String.fromCodePoint(behind),
      canonical: this.#canonical,
    };
  }

  #value(): Json {
    for (;;) {
      let value = this.#begin();
      // A finished value may finish the containers round it, too.
      while (value !== undefined) {
        const parent = this.#open.at(-1);
        if (parent === undefined) return value;
        value = this.#add(parent, value);
      }
    }
  }

  /** Reads a scalar or an empty container; opens any other container and answers undefined. */
  #begin(): Json | undefined {
    this.#skipSpace();
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x22:
        return this.#string();
      case 0x7b:
        return this.#scanned() ?? this.#beginObject();
      case 0x5b:
        return this.#beginArray();
      case 0x74:
        return this.#word('true', true);
      case 0x66:
        return this.#word('false', false);
      case 0x6e:
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #scanned(): Json | undefined {
    const [document, member] = this.#open;
    if (this.#open.length !== 2 || !isObject(document) || !isObject(member)) return undefined;
    if (document.name !== this.#watched?.member) return undefined;
    const scanned = this.#watched.scans.get(member.name)?.(this.#text, this.#at);
    if (scanned !== undefined) this.#at = scanned.end;
    return scanned?.value;
  }

  #beginObject(): Json | undefined {
    this.#at++;
    const object: OpenObject = { members: new Map(), name: '' };
    this.#push(object);
    if (this.#take(0x7d)) {
      this.#open.pop();
      return object.members;
    }
    this.#beginMember(object);
    return undefined;
  }

  #beginMember(object: OpenObject): void {
    const name = this.#memberName();
    if (name <= object.name && object.members.size > 0) this.#isCanonical = false;
    object.name = name;
    if (this.#isWatched(object)) {
      this.#skipSpace();
      this.#start = this.#at;
      this.#isCanonical = true;
    }
  }

  #endMember(object: OpenObject, value: Json): void {
    object.members.set(object.name, value);
    if (this.#isWatched(object)) {
      const place = { start: this.#start, end: this.#at };
      const isCanonical =
        this.#isCanonical && !SURROGATES.test(this.#text.slice(place.start, place.end));
      this.#canonical = isCanonical ? place : undefined;
    }
  }

  /** Of several equal members the last one counts. */
  #isWatched({ name }: OpenObject): boolean {
    return this.#open.length === 1 && name === this.#watched?.member;
  }

  #beginArray(): Json | undefined {
    this.#at++;
    const array: Json[] = [];
    this.#push(array);
    if (!this.#take(0x5d)) return undefined;
    this.#open.pop();
    return array;
  }

  #push(container: Open): void {
    if (this.#open.push(container) > MAX_DEPTH) throw new SyntaxError('exceeded max depth');
  }

  /** Adds a value to its container; answers the container if that ends it. */
  #add(parent: Open, value: Json): Json | undefined {
    if (Array.isArray(parent)) {
      parent.push(value);
      if (this.#take(0x2c)) return undefined;
      this.#expect(0x5d);
      this.#open.pop();
      return parent;
    }
    this.#endMember(parent, value);
    if (this.#take(0x2c)) {
      this.#beginMember(parent);
      return undefined;
    }
    this.#expect(0x7d);
    this.#open.pop();
    return parent.members;
  }

  #memberName(): string {
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) !== 0x22) throw this.#unexpected();
    const name = this.#string();
    this.#expect(0x3a);
    return name;
  }

  #string(): string {
    this.#at++;
    let value = this.#plainRun();
    let escaped = false;
    while (this.#text.charCodeAt(this.#at) !== 0x22) {
      escaped = true;
      value += this.#escape() + this.#plainRun();
    }
    this.#at++;
    // Half a surrogate pair can only come from an escape.
    return escaped ? value.toWellFormed() : value;
  }

  /** Up to a quote, an escape, a control character or the end. */
  #plainRun(): string {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    let code = text.charCodeAt(at);
    while (code >= 0x20 && code !== 0x22 && code !== 0x5c) code = text.charCodeAt(++at);
    this.#at = at;
    return text.slice(start, at);
  }

  #escape(): string {
    const text = this.#text;
    const letter = text[this.#at] === '\\' ? text[this.#at + 1] : undefined;
    if (letter !== '"' && letter !== '\\') this.#isCanonical = false;
    if (letter === 'u') return this.#unicodeEscape();
    const character = ESCAPES.get(letter ?? '');
    if (character === undefined) throw this.#unexpected();
    this.#at += 2;
    return character;
  }

  /** One UTF-16 unit: half a pair is for the whole string to mend. */
  #unicodeEscape(): string {
    const hex = this.#text.slice(this.#at + 2, this.#at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#unexpected();
    this.#at += 6;
    return String.fromCharCode(Number.parseInt(hex, 16));
  }

  #number(): number | JsonNumber {
    const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    number.lastIndex = this.#at;
    const literal = number.exec(this.#text)?.[0];
    if (literal === undefined) throw this.#unexpected();
    this.#at += literal.length;
    if (/^\d{1,15}$/.test(literal)) return Number(literal);
    this.#isCanonical = false;
    return new JsonNumber(literal);
  }

  #word<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected();
    this.#at += word.length;
    return value;
  }

  #skipSpace(): void {
    const text = this.#text;
    let code = text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      this.#isCanonical = false;
      code = text.charCodeAt(++this.#at);
    }
  }

  /** Skips white space; then steps over `code` if it is there. */
  #take(code: number): boolean {
    this.#skipSpace();
    const there = this.#text.charCodeAt(this.#at) === code;
    if (there) this.#at++;
    return there;
  }

  #expect(code: number): void {
    if (!this.#take(code)) throw this.#unexpected();
  }

  #unexpected(): SyntaxError {
    return new SyntaxError(
      this.#at < this.#text.length
        ? `unexpected character at ${this.#at}`
        : 'unexpected end of JSON input',
    );
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 to text. Each byte that is part of no character becomes U+FFFD; a BOM stays (and is no JSON). */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return decodeBrokenUtf8(bytes);
  }
}

function decodeBrokenUtf8(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at);
    const character = bytes.subarray(at, at + length);
    parts.push(length === 0 ? '\uFFFD' : strictUtf8.decode(character));
    at += length === 0 ? 1 : length;
  }
  return parts.join('');
}

/** Bytes of the character at `at`; 0 where there is none (Unicode, table 3-7). */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  for (let index = 1; index < length; index++) {
    const byte = bytes[at + index] ?? 0;
    const fits = index === 1 ? byte >= low && byte <= high : byte >= 0x80 && byte <= 0xbf;
    if (!fits) return 0;
  }
  return length;
}

/** A character as Go's errors show it: `'x'`, `'\n'`, `'\x00'`, `'\u00a0'`. */
export function quoteCharacter(character: string): string {
  const named = new Map([
    ["'", `'\\''`],
    ['\\', `'\\\\'`],
    ['\x07', `'\\a'`],
    ['\b', `'\\b'`],
    ['\f', `'\\f'`],
    ['\n', `'\\n'`],
    ['\r', `'\\r'`],
    ['\t', `'\\t'`],
    ['\v', `'\\v'`],
  ]).get(character);
  if (named !== undefined) return named;
  // Go looks at one byte, and shows it as the character with that number.
  const byte = new TextEncoder().encode(character)[0] ?? 0;
  const hex = byte.toString(16);
  if (byte < 0x20 || byte === 0x7f) return `'\\x${hex.padStart(2, '0')}'`;
  const printable = byte < 0x7f || (byte > 0xa0 && byte !== 0xad);
  return printable ? `'${String.fromCharCode(byte)}'` : `'\\u${hex.padStart(4, '0')}'`;
}
