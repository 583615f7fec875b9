import { describe, expect, test } from 'vitest';
import { parseMediaType } from './media-type.ts';

const filename = (value: string) => parseMediaType(value)?.parameters.get('filename');

describe('a file name', () => {
  test.each([
    ['form-data; name="files"; filename="root"', 'root'],
    ['form-data; filename=root', 'root'],
    ['attachment;filename=root', 'root'],
    ['anything; FILENAME=root', 'root'],
    ['form-data ; filename = root ;', 'root'],
    ['form-data; filename="a\\"b"', 'a"b'],
    ['form-data; filename="a\\\\b"', 'a\\b'],
    ['form-data; filename="C:\\temp"', 'C:\\temp'],
    ['form-data; filename="a;b=c"', 'a;b=c'],
    ['form-data; filename="targets/a"', 'targets/a'],
    [`form-data; filename*=UTF-8''root`, 'root'],
    [`form-data; filename*=utf-8'en'%C3%A9`, 'é'],
    [`form-data; filename=x; filename*=us-ascii''root`, 'root'],
    ['form-data; filename*0=ro; filename*1=ot', 'root'],
    [`form-data; filename*0*=UTF-8''r%6f; filename*1=o; filename*2*=%74`, 'root'],
    ['form-data; filename*0=ro; filename*2=ot', 'ro'],
    ['form-data; filename=""', ''],
    ['form-data; name=files', undefined],
    ['form-data', undefined],
    [`form-data; filename*=latin1''root`, undefined],
    [`form-data; filename*=root`, undefined],
  ])('in %s', (value, name) => {
    expect(parseMediaType(value)).toBeDefined();
    expect(filename(value)).toBe(name);
  });
});

test.each([
  '',
  ';filename=root',
  'form data; filename=root',
  'form-data; filename',
  'form-data; filename=',
  'form-data; filename="root',
  'form-data; filename=root; filename=root',
  'form-data; filename=targets/a',
  'form-data; filename=a b',
  'form-data; filename="a" b',
  'form-data; =root',
  'form-data;; filename=root',
])('%j cannot be read', (value) => {
  expect(parseMediaType(value)).toBeUndefined();
});

test('a long header is read in linear time', () => {
  const started = performance.now();

  expect(parseMediaType(`form-data; filename="${'\\"'.repeat(100_000)}`)).toBeUndefined();
  expect(parseMediaType(`form-data${' '.repeat(100_000)}x; a=b`)).toBeUndefined();
  expect(parseMediaType(`form-data; a=b${' '.repeat(100_000)}x`)).toBeUndefined();

  expect(performance.now() - started).toBeLessThan(1000);
});
