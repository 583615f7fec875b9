import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';
import { readJson } from './json.ts';

const canonical = (text: string) => canonicalJson(readJson(text).value);

describe('canonical JSON refuses', () => {
  test.each([
    ['1.5', 'json: unsupported value: 1.5'],
    ['[-0.25]', 'json: unsupported value: -0.25'],
    ['1234567.5', 'json: unsupported value: 1.2345675e+06'],
    ['0.0001', 'json: unsupported value: 0.0001'],
    ['0.00001', 'json: unsupported value: 1e-05'],
    ['1e400', 'json: cannot unmarshal number 1e400 into Go value of type float64'],
    ['{"a":[-1e999]}', 'json: cannot unmarshal number -1e999 into Go value of type float64'],
  ])('%s: %s', (text, message) => {
    expect(() => canonical(text)).toThrow(message);
  });
});

describe('canonical JSON (WIRE §7.2)', () => {
  test.each([
    [
      'sorts members and drops white space',
      ' { "b" : 1 , "a" : [ true , null ] } ',
      '{"a":[true,null],"b":1}',
    ],
    [
      'sorts by UTF-8 bytes, not by UTF-16 units',
      '{"😀":1,"\uFFFD":2,"a":3}',
      '{"a":3,"\uFFFD":2,"😀":1}',
    ],
    ['sorts a prefix first', '{"ab":1,"a":2,"":3}', '{"":3,"a":2,"ab":1}'],
    ['keeps the order of arrays', '[3,1,2,[],{}]', '[3,1,2,[],{}]'],
    [
      'escapes nothing but quote and backslash',
      String.raw`"\"\\\/<>&\u2028é"`,
      '"\\"\\\\/<>&\u2028é"',
    ],
    ['leaves control characters raw', String.raw`"\n\u0000\t"`, '"\n\0\t"'],
    ['escapes names as well', String.raw`{"\"\n":1}`, '{"\\"\n":1}'],
    ['prints integral numbers as integers', '[1.0,1e3,-0,-0.0,10E-1,1.5e1]', '[1,1000,0,0,1,15]'],
    [
      'rounds beyond 2^53',
      '[9007199254740993,-9007199254740993]',
      '[9007199254740992,-9007199254740992]',
    ],
    [
      'needs no exponent',
      '[1e21,123456789012345678]',
      '[1000000000000000000000,123456789012345680]',
    ],
    ['knows scalars', '[true,false,null,"",0]', '[true,false,null,"",0]'],
  ])('%s', (_, text, result) => {
    expect(canonical(text)).toBe(result);
  });

  test('goes 10000 deep', () => {
    const text = '['.repeat(10_000) + ']'.repeat(10_000);

    expect(canonical(text)).toBe(text);
  });

  test('is its own canonical form, unless a control character keeps it from being JSON', () => {
    const text = fc.string({ unit: 'binary' }).filter((each) => !/\p{Cc}/u.test(each));
    const number = fc.maxSafeInteger();
    const value = fc.letrec((tie) => ({
      any: fc.oneof(text, number, fc.boolean(), fc.constant(null), tie('list'), tie('object')),
      list: fc.array(tie('any'), { maxLength: 4 }),
      object: fc.dictionary(text, tie('any'), { maxKeys: 4 }),
    })).any;
    fc.assert(
      fc.property(value, (value) => {
        const once = canonical(JSON.stringify(value));
        expect(canonical(once)).toBe(once);
        expect(JSON.parse(once)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
