import { decodeBase64 } from './base64.ts';
import { Refusal, TufError } from './errors.ts';
import {
  decodeUtf8,
  JsonNumber,
  readJson,
  type Json,
  type JsonObject,
  type Place,
  type Watched,
} from './json.ts';
import { isRead, sha256Of, type Metafile, type UploadedFile } from './metafile.ts';
import { PlainFiles } from './plain-files.ts';
import type { RoleName } from './role.ts';
import { parseTime, ZERO_TIME, type Time } from './times.ts';

/** A signature as a file has it; whether its key exists or it verifies is another question. */
export interface EnvelopeSignature {
  readonly keyid: string;
  /** In lower case, as methods are compared. */
  readonly method: string;
  readonly sig: Uint8Array;
}

/** What every metafile has, whatever its role. Missing members and nulls are zero values. */
export interface Envelope {
  /** Undefined where it is null or missing. */
  readonly signed: JsonObject | undefined;
  /** The signed part as it is written, where that is what gets signed (WIRE §7.2). */
  readonly canonical: Uint8Array | undefined;
  readonly type: string;
  readonly version: bigint;
  readonly expires: Time;
  readonly signatures: readonly EnvelopeSignature[];
  /** Names of members beside `signed` and `signatures`. */
  readonly others: readonly string[];
  /** The first character behind the document, which is refused later than malformed JSON is. */
  readonly trailing: string | undefined;
}

/** Reads one file of an upload. Throws `TufError` `MALFORMED_JSON` (WIRE §5.3), and nothing else. */
export function parseMetafile(role: RoleName, bytes: Uint8Array): UploadedFile {
  const envelope = parseEnvelope(bytes);
  return { role, version: envelope.version, bytes, sha256: sha256Of(bytes), envelope };
}

/** The envelope of a file that is known to have one; it may have been read already. */
export function envelopeOf(metafile: Metafile): Envelope {
  return isRead(metafile) ? metafile.envelope : parseEnvelope(metafile.bytes);
}

/**
 * The keyids under which a stored file has signatures, each once, in the file's order. They say who
 * claims to have signed; that enough of them are right was checked before the file was stored. Throws
 * `TufError` `MALFORMED_JSON`.
 */
export function signatureKeyids(bytes: Uint8Array): readonly string[] {
  return [...new Set(parseEnvelope(bytes).signatures.map(({ keyid }) => keyid))];
}

const MEMBERS: ReadonlySet<string> = new Set(['signed', 'signatures']);

const SIGNED: Watched = {
  member: 'signed',
  scans: new Map([['targets', (text, at) => PlainFiles.scan(text, at)]]),
};

function parseEnvelope(bytes: Uint8Array): Envelope {
  try {
    const text = decodeUtf8(bytes);
    const { value, trailing, canonical } = readJson(text, SIGNED);
    const document = objectOrNull(value);
    const signed = objectOrNull(document?.get('signed'));
    return {
      signed,
      canonical: canonical && bytesAt(canonical, text, bytes),
      type: textOrNull(signed?.get('_type')),
      version: int64OrNull(signed?.get('version')),
      expires: timeOrNull(signed?.get('expires')),
      signatures: listOrNull(document?.get('signatures')).map(parseSignature),
      others: [...(document?.keys() ?? [])].filter((name) => !MEMBERS.has(name)),
      trailing,
    };
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof Refusal)) throw error;
    throw new TufError('MALFORMED_JSON', error.message, { cause: error });
  }
}

/** Those of `bytes` themselves where each is a character. */
function bytesAt({ start, end }: Place, text: string, bytes: Uint8Array): Uint8Array {
  return Buffer.byteLength(text) === text.length
    ? bytes.subarray(start, end)
    : new TextEncoder().encode(text.slice(start, end));
}

function parseSignature(json: Json): EnvelopeSignature {
  const signature = objectOrNull(json);
  return {
    keyid: textOrNull(signature?.get('keyid')),
    method: textOrNull(signature?.get('method')).toLowerCase(),
    sig: decodeBase64(textOrNull(signature?.get('sig'))),
  };
}

function objectOrNull(json: Json | undefined): JsonObject | undefined {
  if (json === undefined || json === null) return undefined;
  if (json instanceof Map) return json as JsonObject;
  throw new Refusal('not an object');
}

function listOrNull(json: Json | undefined): readonly Json[] {
  if (json === undefined || json === null) return [];
  if (Array.isArray(json)) return json as readonly Json[];
  throw new Refusal('not a list');
}

function textOrNull(json: Json | undefined): string {
  if (json === undefined || json === null) return '';
  if (typeof json === 'string') return json;
  throw new Refusal('not a string');
}

function timeOrNull(json: Json | undefined): Time {
  if (json === undefined || json === null) return ZERO_TIME;
  const time = typeof json === 'string' ? parseTime(json) : undefined;
  if (time === undefined) throw new Refusal('not an RFC 3339 time');
  return time;
}

function int64OrNull(json: Json | undefined): bigint {
  if (json === undefined || json === null) return 0n;
  const value = parseInt64(json);
  if (value === undefined) throw new Refusal('not a 64-bit integer');
  return value;
}

export const MAX_INT64 = 2n ** 63n - 1n;

/** An integer literal that fits an int64; `1.0` and `1e0` are none. */
export function parseInt64(json: Json): bigint | undefined {
  if (typeof json === 'number') return BigInt(json);
  if (!(json instanceof JsonNumber) || !/^-?\d{1,19}$/.test(json.literal)) return undefined;
  const value = BigInt(json.literal);
  return value === BigInt.asIntN(64, value) ? value : undefined;
}

/** A signature in the form in which envelopes are written; `sig` is padded standard base64. */
export interface WrittenSignature {
  readonly keyid: string;
  readonly method: string;
  readonly sig: string;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['<', String.raw`\u003c`],
  ['>', String.raw`\u003e`],
  ['&', String.raw`\u0026`],
  ['\u2028', String.raw`\u2028`],
  ['\u2029', String.raw`\u2029`],
]);

/** The bytes of a file the way Go writes them: the signed text escaped as HTML wants it (WIRE §7.1). */
export function marshalEnvelope(
  signed: string,
  signatures: readonly WrittenSignature[],
): Uint8Array {
  const escaped = signed.replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => ESCAPES.get(character) ?? '',
  );
  const list = JSON.stringify(signatures.map(({ keyid, method, sig }) => ({ keyid, method, sig })));
  return new TextEncoder().encode(`{"signed":${escaped},"signatures":${list}}`);
}
