import * as fc from 'fast-check';
import { bytesOf } from './target.ts';

/**
 * Any bytes; words of the target put together at random; and, most of all, inputs that are known
 * with a few changes made to them.
 */
export function inputs(
  known: readonly Uint8Array[],
  words: readonly string[],
): fc.Arbitrary<Uint8Array> {
  const word = fc.oneof(fc.constantFrom(...words, ...HARD_WORDS), fc.string({ maxLength: 4 }));
  const soup = fc.array(word, { maxLength: 40 }).map((pieces) => bytesOf(pieces.join('')));
  const changed = fc
    .tuple(fc.constantFrom(...known), fc.array(changes(known, word), { maxLength: 6 }))
    .map(([input, changes]) => changes.reduce((bytes, change) => change(bytes), input));
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 2, arbitrary: soup },
    { weight: 9, arbitrary: changed },
  );
}

/** What readers of any kind like to stumble over. */
const HARD_WORDS = [
  '0',
  '-1',
  '1e400',
  '9007199254740993',
  '9223372036854775808',
  '1.0',
  'null',
  '""',
  '[]',
  '{}',
  '__proto__',
  'constructor',
  'toString',
  '\0',
  '\r\n',
  '\n',
  '\u2028',
  '\uFFFD',
  '💥',
  '%00',
  '../',
  '//',
  '%2e%2e%2f',
  '%',
  '*',
  '"',
  '\\',
  '\\ud800',
  '='.repeat(9),
  'A'.repeat(999),
];

type Change = (bytes: Uint8Array) => Uint8Array;

function changes(known: readonly Uint8Array[], word: fc.Arbitrary<string>): fc.Arbitrary<Change> {
  const at = fc.nat();
  const length = fc.integer({ min: 1, max: 60 });
  const byte = fc.integer({ min: 0, max: 255 });
  return fc.oneof(
    fc.tuple(at, byte).map(([at, byte]) => replaced(at, 1, Uint8Array.of(byte))),
    fc.tuple(at, word).map(([at, word]) => replaced(at, 0, bytesOf(word))),
    fc.tuple(at, length, word).map(([at, length, word]) => replaced(at, length, bytesOf(word))),
    fc.tuple(at, length).map(([at, length]) => replaced(at, length, new Uint8Array())),
    fc.tuple(at, word).map(([at, word]) => anotherToken(at, word)),
    fc
      .tuple(at, length, fc.integer({ min: 2, max: 40 }))
      .map(([at, length, times]) => repeated(at, length, times)),
    fc.tuple(at, fc.constantFrom(...known), at, length).map(([at, other, from, length]) => {
      const start = from % (other.length + 1);
      return replaced(at, 0, other.subarray(start, start + length));
    }),
    at.map((at) => (bytes: Uint8Array) => bytes.subarray(0, at % (bytes.length + 1))),
  );
}

function replaced(at: number, length: number, by: Uint8Array): Change {
  return (bytes) => {
    const start = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, start), by, bytes.subarray(start + length)]);
  };
}

function repeated(at: number, length: number, times: number): Change {
  return (bytes) => {
    const start = at % (bytes.length + 1);
    const piece = bytes.subarray(start, start + length);
    const pieces = Array.from({ length: times }, () => piece);
    return Buffer.concat([bytes.subarray(0, start), ...pieces, bytes.subarray(start)]);
  };
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|\b(?:true|false|null)\b/g;

/** Puts a word in the place of one string, number or literal: the form stays, the meaning does not. */
function anotherToken(index: number, word: string): Change {
  return (bytes) => {
    const text = Buffer.from(bytes).toString('latin1');
    const tokens = [...text.matchAll(TOKEN)];
    const token = tokens[index % Math.max(tokens.length, 1)];
    return token === undefined
      ? bytes
      : replaced(token.index, token[0].length, bytesOf(word))(bytes);
  };
}
