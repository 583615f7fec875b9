import { decodeUtf8, JsonNumber, readJson, type Json } from '../../libs/tuf/src/json.ts';
import { expectSame, verdictOf, type Target } from '../target.ts';

/** The JSON reader: agrees with `JSON.parse` on what is JSON, and on what it says. */
export const json: Target = {
  name: 'json',
  words: ['{', '}', '[', ']', ',', ':', '"', '\\u', 'true', 'false', ' ', '-', '1e9', '"a":'],
  runs: 3_000,
  open: () => ({
    run: (input) =>
      verdictOf(() => {
        const text = decodeUtf8(input);
        const { value, trailing } = readJson(text);
        // Only here do the two differ in what is there: we leave it to the caller.
        if (trailing !== undefined) throw new SyntaxError('trailing');
        const theirs: unknown = JSON.parse(text);
        expectSame(show(plain(value)), show(wellFormed(theirs)), 'another value');
      }, SyntaxError),
  }),
};

function show(value: unknown): string {
  return JSON.stringify(value);
}

function plain(value: Json): unknown {
  if (value instanceof Map) return entries([...value].map(([name, each]) => [name, plain(each)]));
  if (value instanceof JsonNumber) return Number(value.literal);
  return Array.isArray(value) ? (value as readonly Json[]).map(plain) : value;
}

/** Halves of surrogate pairs are for us what they were for Go: U+FFFD. */
function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== 'object' || value === null) return value;
  return entries(
    Object.entries(value).map(([name, each]) => [name.toWellFormed(), wellFormed(each)]),
  );
}

/** As a list, sorted: objects put members that look like numbers first. */
function entries(members: readonly (readonly [string, unknown])[]): unknown {
  const last = new Map(members);
  return [...last].sort(([a], [b]) => (a < b ? -1 : 1));
}
