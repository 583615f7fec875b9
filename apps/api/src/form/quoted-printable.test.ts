import { expect, test } from 'vitest';
import { decodeQuotedPrintable } from './quoted-printable.ts';

const decode = (text: string) => decodeQuotedPrintable(Buffer.from(text)).toString();

test.each([
  ['{}', '{}'],
  ['=7B=7d', '{}'],
  ['=C3=A9', 'é'],
  ['a=\r\nb', 'ab'],
  ['a=\nb', 'ab'],
  ['a= \r\nb', 'ab'],
  ['a \t\r\nb\n', 'a\r\nb\n'],
  ['a=', 'a'],
  ['a=zz', 'a=zz'],
])('%j becomes %j', (text, decoded) => {
  expect(decode(text)).toBe(decoded);
});

test('a run of blanks costs no more than other bytes', () => {
  const started = performance.now();

  expect(decode(`${' '.repeat(1_000_000)}x`)).toHaveLength(1_000_001);

  expect(performance.now() - started).toBeLessThan(1000);
});
