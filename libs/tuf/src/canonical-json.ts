import { Refusal } from './errors.ts';
import { JsonNumber, type Json, type JsonObject } from './json.ts';

/** A container whose opening bracket is written. */
interface Level {
  /** Undefined in an array. */
  readonly names: readonly string[] | undefined;
  readonly values: readonly Json[];
  next: number;
}

/** A string that grows by small pieces is a tree of them, which takes its time where it is large. */
const LONGEST_PIECE = 8192;

/**
 * The text that gets signed (WIRE §7.2): members sorted by the bytes of their names, no white
 * space, control characters raw. Keeps its own stack, for a document may be 10000 deep.
 *
 * Throws `Refusal` where a number is not integral or no double.
 */
export function canonicalJson(value: Json): string {
  const written: string[] = [];
  let text = '';
  const levels: Level[] = [];
  const write = (value: Json): void => {
    const level = container(value);
    if (level === undefined) {
      text += scalar(value);
      return;
    }
    text += level.names === undefined ? '[' : '{';
    levels.push(level);
  };

  write(value);
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const { names, values, next } = level;
    const value = values[next];
    if (value === undefined) {
      text += names === undefined ? ']' : '}';
      levels.pop();
      continue;
    }
    level.next++;
    if (text.length > LONGEST_PIECE) {
      written.push(text);
      text = '';
    }
    if (next > 0) text += ',';
    if (names !== undefined) text += `${quote(names[next] ?? '')}:`;
    write(value);
  }
  return written.join('') + text;
}

function container(value: Json): Level | undefined {
  if (value instanceof Map) {
    const object = value as JsonObject;
    const names = sortedNames(object);
    return { names, values: names.map((name) => object.get(name) ?? null), next: 0 };
  }
  return Array.isArray(value)
    ? { names: undefined, values: value as readonly Json[], next: 0 }
    : undefined;
}

/** In the order of their UTF-8 bytes, which only surrogates have otherwise in UTF-16. */
export function sortedNames(object: ReadonlyMap<string, unknown>): string[] {
  const names = [...object.keys()];
  return names.some((name) => /[\ud800-\udfff]/.test(name))
    ? names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    : names.sort();
}

function scalar(value: Json): string {
  if (typeof value === 'string') return quote(value);
  if (value instanceof JsonNumber) return integer(value.literal);
  return JSON.stringify(value);
}

function quote(text: string): string {
  return /["\\]/.test(text) ? `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"` : `"${text}"`;
}

/** Numbers are doubles to the signer: `1e3` is 1000, and 2^53 + 1 is 2^53. */
function integer(literal: string): string {
  const double = Number(literal);
  if (!Number.isFinite(double)) {
    throw new Refusal(`json: cannot unmarshal number ${literal} into Go value of type float64`);
  }
  if (!Number.isInteger(double)) {
    throw new Refusal(`json: unsupported value: ${showDouble(double)}`);
  }
  return BigInt(double).toString();
}

/** Go's `%g`: exponents of at least two digits, from 1e-5 down and 1e+6 up. */
function showDouble(double: number): string {
  const [mantissa = '', exponent = '0'] = double.toExponential().split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(double);
  const digits = String(Math.abs(power)).padStart(2, '0');
  return `${mantissa}e${power < 0 ? '-' : '+'}${digits}`;
}
