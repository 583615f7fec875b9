import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as go from './decoder.ts';
import { parseMetafile } from './envelope.ts';
import { Refusal } from './errors.ts';
import { decodedFiles } from './file-meta.ts';
import { checkUsable, DEFAULT_GUARD } from './guard.ts';
import { readJson, type JsonObject, type Scan } from './json.ts';
import { PlainFiles } from './plain-files.ts';

const sha256 = `"sha256":"${'A'.repeat(43)}="`;
const sha512 = `"sha512":"${'B'.repeat(86)}=="`;
const file = (name: string, length: string | number = 1) =>
  `"${name}":{"hashes":{${sha256}},"length":${length}}`;

const scan = (text: string) => PlainFiles.scan(text, 0)?.value;

describe('files as real clients list them', () => {
  test('are read when one is asked for', () => {
    const text = `{${file('a')},"b":{"hashes":{${sha256},${sha512}},"length":12345}}`;
    const read = readJson(text).value as JsonObject;
    const asks: ((files: JsonObject) => unknown)[] = [
      (files) => files.size,
      (files) => files.get('b'),
      (files) => [files.has('a'), files.has('c')],
      (files) => [...files.keys()],
      (files) => [...files.values()],
      (files) => [...files.entries()],
      (files) => [...files],
      (files) => {
        const visited: unknown[] = [];
        files.forEach((...each) => visited.push(each.slice(0, 2)));
        return visited;
      },
    ];
    for (const ask of asks) {
      const files = scan(text);
      expect(files).toBeInstanceOf(PlainFiles);
      expect(ask(files ?? new Map())).toEqual(ask(read));
    }
  });

  test.each([
    ['none', '{}'],
    ['white space', `{ ${file('a')}}`],
    ['white space behind one', `{${file('a')} }`],
    ['an escape', `{${file(String.raw`\u003c`)}}`],
    ['a control character', `{${file('\n')}}`],
    ['a surrogate', `{${file('😀')}}`],
    ['another order', `{${file('b')},${file('a')}}`],
    ['one twice', `{${file('a')},${file('a')}}`],
    ['a length that no double holds', `{${file('a', '1234567890123456')}}`],
    ['a length below zero', `{${file('a', '-1')}}`],
    ['a length with a zero before it', `{${file('a', '01')}}`],
    ['a broken length', `{${file('a', '1.0')}}`],
    ['a custom part', `{"a":{"custom":{},"hashes":{${sha256}},"length":1}}`],
    ['another hash', `{"a":{"hashes":{"md5":"QQ=="},"length":1}}`],
    ['a digest of another length', `{"a":{"hashes":{"sha256":"QQ=="},"length":1}}`],
    ['no end', `{${file('a')}`],
    ['a comma at the end', `{${file('a')},}`],
    ['something between', `{${file('a')};${file('b')}}`],
  ])('%s: are left to the reader', (_, text) => {
    expect(scan(text)).toBeUndefined();
  });

  test('may have a name of many megabytes, which is no trouble for the pattern', () => {
    const name = 'n'.repeat(64 * 1024 * 1024);

    expect(scan(`{${file(name)}}`)).toBeInstanceOf(PlainFiles);
    expect(scan(`{"${name}":{}}`)).toBeUndefined();
    expect(scan(`{"${name}`)).toBeUndefined();
  });

  test('are judged as they would be if they were read, and say the same', () => {
    const name = fc.oneof(
      fc.stringMatching(/^[a-z ]{0,3}$/),
      fc.string({ unit: 'grapheme', maxLength: 3 }),
    );
    const member = fc.tuple(
      name.map((each) => JSON.stringify(each)),
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(sha256, `${sha256},${sha512}`) },
        fc.constantFrom('', sha512, `${sha512},${sha256}`, '"sha256":"QQ=="', '"sha256":1'),
      ),
      fc.oneof(
        { weight: 8, arbitrary: fc.nat().map(String) },
        fc.constantFrom('9007199254740993', '-1', '1e3', '"1"', 'null', ' 1', '01'),
      ),
    );
    const targets = fc
      .tuple(fc.uniqueArray(member, { selector: ([each]) => each, maxLength: 4 }), fc.boolean())
      .map(([members, sorted]) => (sorted ? members.sort(([a], [b]) => (a < b ? -1 : 1)) : members))
      .map((members) =>
        members.map(
          ([each, hashes, length]) => `${each}:{"hashes":{${hashes}},"length":${length}}`,
        ),
      )
      .map((members) => `{${members.join(',')}}`);

    const seen = { plain: 0, read: 0 };
    fc.assert(
      fc.property(targets, fc.constantFrom('', '"targets":{},', '"version":1,'), (text, more) => {
        const document = `{"signed":{"_type":"Targets",${more}"targets":${text}},"signatures":[]}`;
        const all = verdict(document, (...at) => PlainFiles.scan(...at));
        expect(all).toEqual(verdict(document, () => undefined));
        seen[PlainFiles.scan(text, 0) === undefined ? 'read' : 'plain'] += 1;
      }),
      { numRuns: 1000 },
    );
    expect(Math.min(seen.plain, seen.read)).toBeGreaterThan(100);
  });

  test('are left unread by those who judge them', () => {
    const text = `{"signed":{"_type":"Targets","targets":{${file('a')}},"version":2},"signatures":[]}`;
    const uploaded = parseMetafile('targets', new TextEncoder().encode(text));
    const targets = uploaded.envelope.signed?.get('targets') ?? null;
    expect(targets).toBeInstanceOf(PlainFiles);
    // Whoever reads them now, fails.
    Object.defineProperty(targets, 'values', { value: () => expect.unreachable() });
    Object.defineProperty(targets, Symbol.iterator, { value: () => expect.unreachable() });
    checkUsable(uploaded, 1n, DEFAULT_GUARD);
    go.decode(go.unread(decodedFiles), targets);
    expect(uploaded.envelope.canonical).toEqual(
      new TextEncoder().encode(text.slice('{"signed":'.length, -',"signatures":[]}'.length)),
    );
  });
});

/** All that is said of a document: what it is, or why it is none, and what decoder and guard think of its files. */
function verdict(document: string, scan: Scan): unknown {
  const read = attempt(() =>
    readJson(document, { member: 'signed', scans: new Map([['targets', scan]]) }),
  );
  if (typeof read === 'string') return read;
  const { value, canonical, trailing } = read;
  const signed = (value as JsonObject).get('signed') as JsonObject;
  const targets = signed.get('targets') ?? null;
  const uploaded = parseMetafile('targets', new TextEncoder().encode('{}'));
  const file = { ...uploaded, envelope: { ...uploaded.envelope, signed } };
  return {
    decoded: attempt(() => go.decode(go.unread(decodedFiles), targets)),
    usable: attempt(() => checkUsable(file, 0n, { ...DEFAULT_GUARD, depth: 4 })),
    shallow: attempt(() => checkUsable(file, 0n, { ...DEFAULT_GUARD, depth: 3 })),
    canonical,
    trailing,
    targets: [...(targets as JsonObject)],
  };
}

function attempt<Value>(work: () => Value): Value | string {
  try {
    return work();
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof Refusal) return error.message;
    throw error;
  }
}
