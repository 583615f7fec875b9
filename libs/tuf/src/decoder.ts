import { decodeBase64, isPlainBase64 } from './base64.ts';
import { parseInt64 } from './envelope.ts';
import { Refusal } from './errors.ts';
import { JsonNumber, type Json, type JsonObject } from './json.ts';
import { formsIn } from './plain-files.ts';

/**
 * Turns JSON into typed values with the rules and the words of Go's decoder, for clients show its
 * texts: null and missing members are zero values, unknown members are ignored, the first
 * complaint counts, and a number where none can be ends it all.
 */
export interface Decoder<T> {
  readonly zero: T;
  /** Never called with null. */
  read(json: NonNull, complaints: string[]): T;
  /** Complains as `read` does, and makes nothing; `read` where absent. */
  check?(json: NonNull, complaints: string[]): void;
}

type NonNull = Exclude<Json, null>;

/** What a decoder makes. */
export type Decoded<D> = D extends Decoder<infer T> ? T : never;

/** Throws `Refusal` with the decoder's text. */
export function decode<T>(decoder: Decoder<T>, json: Json): T {
  const complaints: string[] = [];
  const value = readOrZero(decoder, json, complaints);
  const [first] = complaints;
  if (first !== undefined) throw new Refusal(first);
  return value;
}

function readOrZero<T>(decoder: Decoder<T>, json: Json, complaints: string[]): T {
  return json === null ? decoder.zero : decoder.read(json, complaints);
}

function check(decoder: Decoder<unknown>, json: Json, complaints: string[]): void {
  if (json === null) return;
  if (decoder.check === undefined) decoder.read(json, complaints);
  else decoder.check(json, complaints);
}

/** What has to be right though nobody reads it: of a large file, that is most of it. */
export function unread(decoder: Decoder<unknown>): Decoder<undefined> {
  return {
    zero: undefined,
    read: (json, complaints) => {
      check(decoder, json, complaints);
    },
  };
}

/** Complains that `json` is no `goType`, and answers with the zero value. */
function mismatch<T>(json: NonNull, goType: string, zero: T, complaints: string[]): T {
  const text = (what: string) => `json: cannot unmarshal ${what} into Go value of type ${goType}`;
  if (typeof json === 'number' || json instanceof JsonNumber) throw new Refusal(text('number'));
  complaints.push(text(kindOf(json)));
  return zero;
}

function kindOf(json: NonNull): string {
  if (json instanceof Map) return 'object';
  if (Array.isArray(json)) return 'array';
  return typeof json === 'boolean' ? 'bool' : 'string';
}

/** A string; the Go type has a name of its own where it is a role's. */
export function text(goType = 'string'): Decoder<string> {
  return {
    zero: '',
    read: (json, complaints) =>
      typeof json === 'string' ? json : mismatch(json, goType, '', complaints),
  };
}

export const bool: Decoder<boolean> = {
  zero: false,
  read: (json, complaints) =>
    typeof json === 'boolean' ? json : mismatch(json, 'bool', false, complaints),
};

export function integer(goType: 'int' | 'int64'): Decoder<bigint> {
  const read = (json: NonNull, complaints: string[]): bigint => {
    const value = parseInt64(json);
    if (value !== undefined) return value;
    if (!(json instanceof JsonNumber)) return mismatch(json, goType, 0n, complaints);
    complaints.push(
      `json: cannot unmarshal number ${json.literal} into Go value of type ${goType}`,
    );
    return 0n;
  };
  return {
    zero: 0n,
    read,
    check: (json, complaints) => {
      if (typeof json !== 'number') read(json, complaints);
    },
  };
}

const NO_BYTES = new Uint8Array();

/** Bytes in standard base64. */
export const bytes: Decoder<Uint8Array> = {
  zero: NO_BYTES,
  read: (json, complaints) => {
    if (typeof json !== 'string') return mismatch(json, '[]uint8', NO_BYTES, complaints);
    try {
      return decodeBase64(json);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      complaints.push(error.message);
      return NO_BYTES;
    }
  },
  check: (json, complaints) => {
    if (typeof json !== 'string' || !isPlainBase64(json)) bytes.read(json, complaints);
  },
};

/** JSON as it is; undefined where it is null or missing. */
export const anything: Decoder<Json | undefined> = { zero: undefined, read: (json) => json };

/** A value behind a Go pointer: null is not its zero value, but none at all. */
export function optional<T>(decoder: Decoder<T>): Decoder<T | undefined> {
  return { ...decoder, zero: undefined };
}

export function list<T>(goType: string, item: Decoder<T>): Decoder<readonly T[]> {
  return {
    zero: [],
    read: (json, complaints) =>
      Array.isArray(json)
        ? (json as readonly Json[]).map((each) => readOrZero(item, each, complaints))
        : mismatch(json, goType, [], complaints),
  };
}

export function map<T>(goType: string, item: Decoder<T>): Decoder<ReadonlyMap<string, T>> {
  const zero: ReadonlyMap<string, T> = new Map();
  return {
    zero,
    read: (json, complaints) => {
      if (!isObject(json)) return mismatch(json, goType, zero, complaints);
      const items = new Map<string, T>();
      for (const [name, value] of json) items.set(name, readOrZero(item, value, complaints));
      return items;
    },
    check: (json, complaints) => {
      if (!isObject(json)) mismatch(json, goType, undefined, complaints);
      else for (const value of formsIn(json)) check(item, value, complaints);
    },
  };
}

/** What Go decodes by itself: it has complaints of its own, and the first one ends it all. */
export function apart<T>(decoder: Decoder<T>): Decoder<T> {
  return { zero: decoder.zero, read: (json) => decode(decoder, json) };
}

type Members = Readonly<Record<string, Decoder<unknown>>>;
type Struct<M extends Members> = { readonly [Name in keyof M]: Decoded<M[Name]> };

/** An object with known members; they are read, and complained about, in the document's order. */
export function struct<M extends Members>(goType: string, members: M): Decoder<Struct<M>> {
  const zero = Object.fromEntries(
    Object.entries(members).map(([name, member]) => [name, member.zero]),
  ) as Struct<M>;
  return {
    zero,
    read: (json, complaints) => {
      if (!isObject(json)) return mismatch(json, goType, zero, complaints);
      const values: Record<string, unknown> = { ...zero };
      for (const [name, value] of json) {
        const member = Object.hasOwn(members, name) ? members[name] : undefined;
        if (member !== undefined) values[name] = readOrZero(member, value, complaints);
      }
      return values as Struct<M>;
    },
    check: (json, complaints) => {
      if (!isObject(json)) {
        mismatch(json, goType, undefined, complaints);
        return;
      }
      for (const [name, value] of json) {
        const member = Object.hasOwn(members, name) ? members[name] : undefined;
        if (member !== undefined) check(member, value, complaints);
      }
    },
  };
}

function isObject(json: Json): json is JsonObject {
  return json instanceof Map;
}
