import { Refusal } from './errors.ts';
import { JsonNumber, type Json } from './json.ts';

/** A container whose opening bracket is written. */
interface Level {
  /** Undefined in an array. */
  readonly names: readonly string[] | undefined;
  readonly values: readonly Json[];
  next: number;
}

/**
 * The text that gets signed (WIRE §7.2): members sorted by the bytes of their names, no white
 * space, control characters raw. Keeps its own stack, for a document may be 10000 deep.
 *
 * Throws `Refusal` where a number is not integral or no double.
 */
export function canonicalJson(value: Json): string {
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
    if (next > 0) text += ',';
    if (names !== undefined) text += `${quote(names[next] ?? '')}:`;
    write(value);
  }
  return text;
}

function container(value: Json): Level | undefined {
  if (value instanceof Map) {
    const members = [...(value as ReadonlyMap<string, Json>)].sort(byName);
    return {
      names: members.map(([name]) => name),
      values: members.map(([, member]) => member),
      next: 0,
    };
  }
  return Array.isArray(value)
    ? { names: undefined, values: value as readonly Json[], next: 0 }
    : undefined;
}

function byName([a]: readonly [string, Json], [b]: readonly [string, Json]): number {
  return compareUtf8(a, b);
}

/** The order of the UTF-8 bytes, which is that of code points: UTF-16 puts U+FFFD after U+10000. */
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Lifts surrogates above all other UTF-16 units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
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
