import { describe, expect, test } from 'vitest';
import { marshalEnvelope, parseMetafile, signatureKeyids } from './envelope.ts';
import { TufError } from './errors.ts';
import { showTime } from './times.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseMetafile('targets', utf8(text));
const signed = (members: string) => parse(`{"signed":{${members}}}`);
const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
const refused = expect.objectContaining({ name: 'TufError', code: 'MALFORMED_JSON' });

describe('a part that is malformed JSON (WIRE §5.3)', () => {
  test.each([
    ['empty', ''],
    ['blank', ' \n\t '],
    ['no JSON', 'hello'],
    ['a BOM', '\uFEFF{}'],
    ['NaN', '{"signed":{"version":NaN}}'],
    ['a comment', '{/**/}'],
    ['a trailing comma in an object', '{"signed":{},}'],
    ['a trailing comma in a list', '{"signatures":[{},]}'],
    ['a leading comma', '{,"signed":{}}'],
    ['a raw newline in a string', '{"signed":{"_type":"a\nb"}}'],
    ['a raw NUL in a string', '{"signed":{"_type":"a\0b"}}'],
    ['an unknown escape', String.raw`{"a":"\x41"}`],
    ['a short unicode escape', String.raw`{"a":"\u12"}`],
    ['single quotes', "{'signed':{}}"],
    ['a member without a name', '{:1}'],
    ['a member without a value', '{"a":}'],
    ['a member without a colon', '{"a" 1}'],
    ['two values without a comma', '{"a":[1 2]}'],
    ['the wrong bracket', '{"a":[1}}'],
    ['a word cut short', '{"a":tru}'],
    ['a word in capitals', '{"a":True}'],
    ['a leading zero', '{"a":01}'],
    ['a plus sign', '{"a":+1}'],
    ['a bare point', '{"a":1.}'],
    ['a bare exponent', '{"a":1e}'],
    ['a minus sign alone', '{"a":-}'],
    ['truncated in an object', '{"signed":{'],
    ['truncated in a string', '{"signed'],
    ['truncated in an escape', String.raw`{"signed\ `.trim()],
    ['a list at the top', '[]'],
    ['a string at the top', '"x"'],
    ['a number at the top', '1'],
    ['a boolean at the top', 'true'],
    ['signed a list', '{"signed":[]}'],
    ['signed a string', '{"signed":"x"}'],
    ['signed a number', '{"signed":1}'],
    ['signatures an object', '{"signatures":{}}'],
    ['signatures a string', '{"signatures":"x"}'],
    ['a signature that is a list', '{"signatures":[[]]}'],
    ['a signature that is a string', '{"signatures":["x"]}'],
    ['_type a number', '{"signed":{"_type":1}}'],
    ['_type a boolean', '{"signed":{"_type":true}}'],
    ['keyid a number', '{"signatures":[{"keyid":1}]}'],
    ['method an object', '{"signatures":[{"method":{}}]}'],
    ['sig a number', '{"signatures":[{"sig":1}]}'],
    ['sig a list of bytes', '{"signatures":[{"sig":[1]}]}'],
  ])('%s', (_, text) => {
    expect(() => parse(text)).toThrow(refused);
  });

  test.each([
    '1.0',
    '1.5',
    '1e0',
    '"1"',
    'true',
    '[]',
    '{}',
    '9223372036854775808',
    '-9223372036854775809',
  ])('version %s', (version) => {
    expect(() => signed(`"version":${version}`)).toThrow(refused);
  });

  test.each([
    '2020-01-01',
    '2020-01-01T00:00:00',
    '2020-01-01T00:00:00+0200',
    '2020-01-01t00:00:00Z',
    '2020-01-01T00:00:00z',
    '2020-01-01 00:00:00Z',
    '2020-02-30T00:00:00Z',
    '2021-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2020-13-01T00:00:00Z',
    '2020-00-01T00:00:00Z',
    '2020-01-00T00:00:00Z',
    '2020-01-01T24:00:00Z',
    '2020-01-01T00:60:00Z',
    '2020-01-01T00:00:60Z',
    '2020-1-01T00:00:00Z',
    '2020-01-01T0:00:00Z',
    '12020-01-01T00:00:00Z',
    '2020-01-01T00:00:00.Z',
    '2020-01-01T00:00:00,5Z',
    '2020-01-01T00:00:00Z ',
    '',
  ])('expires "%s"', (expires) => {
    expect(() => signed(`"expires":"${expires}"`)).toThrow(refused);
  });

  test('expires a number', () => {
    expect(() => signed('"expires":1577836800')).toThrow(refused);
  });

  test.each(['-_-_', 'QQ', 'QQ=', 'QQ= =', 'Q Q==', 'QQ==QQ==', '=', '====', 'Q===', 'é==='])(
    'sig "%s"',
    (sig) => {
      expect(() => parse(`{"signatures":[{"sig":"${sig}"}]}`)).toThrow(refused);
    },
  );

  test('UTF-16', () => {
    const bytes = new Uint8Array(Buffer.from('\uFEFF{}', 'utf16le'));

    expect(() => parseMetafile('targets', bytes)).toThrow(refused);
  });

  test('nesting deeper than 10000, while 10000 is fine', () => {
    expect(() => parse(nested(10_001))).toThrow(refused);
    expect(() => parse('['.repeat(1_000_000))).toThrow(refused);
    expect(parse(nested(10_000)).version).toBe(0n);
  });
});

describe('a part that is fine (WIRE §5.3)', () => {
  test.each([
    ['null', 'null'],
    ['{}', '{}'],
    ['null members', '{"signed":null,"signatures":null}'],
    ['null inside', '{"signed":{"_type":null,"version":null,"expires":null},"signatures":[]}'],
    ['other members', '{"x":[1.5,1e400,{"y":[]}],"signed":{"z":-0.1e-5}}'],
    ['member names in another case', '{"Signed":[],"SIGNATURES":1,"signed":{"Version":"x"}}'],
  ])('%s has zero values', (_, text) => {
    const { envelope, version } = parse(text);

    expect(version).toBe(0n);
    expect(envelope.type).toBe('');
    expect(envelope.signatures).toEqual([]);
    expect(showTime(envelope.expires)).toBe('Mon Jan 1 00:00:00 UTC 0001');
  });

  test('a signature that is null has zero values', () => {
    const { signatures } = parse(
      '{"signatures":[null,{"keyid":null,"method":null,"sig":null}]}',
    ).envelope;
    const zero = { keyid: '', method: '', sig: Buffer.alloc(0) };

    expect(signatures).toEqual([zero, zero]);
  });

  test.each([
    ['0', 0n],
    ['-0', 0n],
    ['-1', -1n],
    ['9007199254740993', 9_007_199_254_740_993n],
    ['9223372036854775807', 9_223_372_036_854_775_807n],
    ['-9223372036854775808', -9_223_372_036_854_775_808n],
  ])('version %s is kept exactly', (text, version) => {
    expect(signed(`"version":${text}`).version).toBe(version);
  });

  test.each([
    ['2020-01-01T00:00:00Z', 'Wed Jan 1 00:00:00 UTC 2020'],
    ['2020-06-01T12:34:56.789+02:00', 'Mon Jun 1 12:34:56 +0200 2020'],
    ['2116-01-11T16:58:57.119711158-08:00', 'Sat Jan 11 16:58:57 -0800 2116'],
    ['2024-02-29T23:59:59.000000000001Z', 'Thu Feb 29 23:59:59 UTC 2024'],
    ['0000-03-01T00:00:00-00:30', 'Wed Mar 1 00:00:00 -0030 0000'],
    ['9999-12-31T23:59:59+00:00', 'Fri Dec 31 23:59:59 UTC 9999'],
  ])('expires %s is read, and shown in its zone', (expires, shown) => {
    expect(showTime(signed(`"expires":"${expires}"`).envelope.expires)).toBe(shown);
  });

  test.each([
    ['QQ==', 'A'],
    [String.raw`Q\r\nQ=\n=\n`, 'A'],
    ['QUI=', 'AB'],
    ['QUJD', 'ABC'],
    ['', ''],
    ['QR==', 'A'],
  ])('sig "%s"', (sig, decoded) => {
    const { signatures } = parse(`{"signatures":[{"sig":"${sig}"}]}`).envelope;

    expect(Buffer.from(signatures[0]?.sig ?? []).toString()).toBe(decoded);
  });

  test('methods are compared in lower case', () => {
    expect(parse('{"signatures":[{"method":"ECDSA"}]}').envelope.signatures[0]?.method).toBe(
      'ecdsa',
    );
  });

  test('the last of several equal members wins', () => {
    const text = String.raw`{"signed":{"version":1},"signed":{"version":2,"versio\u006e":3}}`;

    expect(parse(text).version).toBe(3n);
  });

  test.each([
    ['a stray continuation byte', [0x80], '\uFFFD'],
    ['a character cut short, once for each byte', [0xe2, 0x82], '\uFFFD\uFFFD'],
    ['an encoded surrogate', [0xed, 0xa0, 0x80], '\uFFFD\uFFFD\uFFFD'],
    ['an overlong slash', [0xc0, 0xaf], '\uFFFD\uFFFD'],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80], '\uFFFD\uFFFD\uFFFD\uFFFD'],
    ['good characters round a bad one', [0xc3, 0xa9, 0xff, 0xf0, 0x9f, 0x98, 0x80], 'é\uFFFD😀'],
  ])('invalid UTF-8 is read as U+FFFD: %s', (_, broken, read) => {
    const bytes = Buffer.concat([
      Buffer.from('{"signed":{"_type":"'),
      Buffer.from(broken),
      Buffer.from('"}}'),
    ]);

    expect(parseMetafile('targets', bytes).envelope.type).toBe(read);
  });

  test.each([
    [String.raw`\ud800`, '\uFFFD'],
    [String.raw`\udc00x`, '\uFFFDx'],
    [String.raw`\ud800\ud800`, '\uFFFD\uFFFD'],
    [String.raw`\ud83d\ude00`, '😀'],
    [String.raw`\"\\\/\b\f\n\r\t\u0041`, '"\\/\b\f\n\r\tA'],
  ])('escapes %s', (escaped, read) => {
    expect(signed(`"_type":"${escaped}"`).envelope.type).toBe(read);
  });

  test('a member called __proto__ is a member like any other', () => {
    const { envelope } = signed('"__proto__":{"version":7},"constructor":1');

    expect(envelope.version).toBe(0n);
    expect([...(envelope.signed?.keys() ?? [])]).toEqual(['__proto__', 'constructor']);
  });

  test('what follows the document is noticed, white space is not', () => {
    expect(parse('{} \r\n\t').envelope.trailing).toBeUndefined();
    expect(parse('{}x').envelope.trailing).toBe('x');
    expect(parse('null\n{}').envelope.trailing).toBe('{');
  });

  test('the bytes are kept and hashed as they are', () => {
    const bytes = utf8(' { "signed" : { "version" : 2 } }\n');
    const file = parseMetafile('targets', bytes);

    expect(file.bytes).toBe(bytes);
    expect(file.sha256).toBe('4f09dbbf6bca148f4f74a06ef8c93e4a8b46a05753745dbd50f238d2b6ffe30b');
  });
});

test('nothing but a TufError is thrown for what is malformed', () => {
  expect(() => parse('{')).toThrow(TufError);
});

test('an envelope is written with the escapes of HTML in its signed part only (WIRE §7.1)', () => {
  const bytes = marshalEnvelope('{"a":"<>&\u2028\u2029é"}', [
    { keyid: 'k', method: 'ecdsa', sig: 'QQ==' },
  ]);

  expect(new TextDecoder().decode(bytes)).toBe(
    String.raw`{"signed":{"a":"\u003c\u003e\u0026\u2028\u2029é"},"signatures":[{"keyid":"k","method":"ecdsa","sig":"QQ=="}]}`,
  );
});

test('keyids that signed are named once, in the order of the file', () => {
  const signed = ['b', 'a', 'b'].map((keyid) => ({ keyid, method: 'eddsa', sig: '' }));

  expect(signatureKeyids(marshalEnvelope('{}', signed))).toEqual(['b', 'a']);
});

const taken = (text: string) => {
  const { canonical } = parse(text).envelope;
  return canonical && new TextDecoder().decode(canonical);
};

describe('a signed part is taken as it is written', () => {
  test.each([
    ['{}', '{}'],
    ['{"a":1,"b":[true,null,"x"]}', '{"a":1,"b":[true,null,"x"]}'],
    [String.raw`{"a\"":"\\"}`, String.raw`{"a\"":"\\"}`],
    ['{"ä":"\u2028\uffff"}', '{"ä":"\u2028\uffff"}'],
  ])('%s', (signed, text) => {
    expect(taken(`{"signed":${signed},"signatures":[]}`)).toBe(text);
    expect(taken(` { "signatures" : [] , "signed" : ${signed} } `)).toBe(text);
    expect(taken(`{"signed":{"b":1,"a":1},"signed":${signed}}`)).toBe(text);
  });

  test.each([
    ['white space', '{"a": 1}'],
    ['white space at its end', '{"a":1 }'],
    ['names out of order', '{"b":1,"a":2}'],
    ['names out of order deep inside', '{"a":[{"b":1,"a":2}]}'],
    ['a name twice', '{"a":1,"a":2}'],
    ['an empty name twice', '{"":1,"":2}'],
    ['an escape that is none in canonical JSON', String.raw`{"a":"\u003c"}`],
    ['an escaped slash', String.raw`{"a":"\/"}`],
    ['a number with a point', '{"a":1.0}'],
    ['a negative number', '{"a":-0}'],
    ['a number that is no double', '{"a":9007199254740993}'],
    ['a number of its own notation', '{"a":1e3}'],
    ['names whose order is another in bytes', '{"😀":1,"\uffff":2}'],
  ])('but not with %s', (_, signed) => {
    expect(taken(`{"signed":${signed},"signatures":[]}`)).toBeUndefined();
    expect(taken(`{"signed":{"a":1},"signed":${signed}}`)).toBeUndefined();
  });

  test('bytes that are no UTF-8 are what the old server took them for', () => {
    const bytes = new TextEncoder().encode('{"signed":{"a":"?"},"signatures":[]}');
    bytes[bytes.indexOf('?'.charCodeAt(0))] = 0xff;

    const { canonical } = parseMetafile('targets', bytes).envelope;
    expect(canonical).toEqual(new TextEncoder().encode('{"a":"\uFFFD"}'));
  });

  test('but not one that is not at the top', () => {
    expect(taken('{"other":{"signed":{"a":1}}}')).toBeUndefined();
    expect(taken('{"signed":{"b":1,"signed":{},"a":2}}')).toBeUndefined();
  });
});
