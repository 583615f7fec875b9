import { expect, test } from 'vitest';
import { parsedSize, parsedSizeInTurns } from './parsed-size.ts';

const sizeOf = (text: string) => parsedSize(Buffer.from(text));

test('objects cost much more than they are long, long strings do not', () => {
  expect(sizeOf('{},'.repeat(1_000))).toBe(296_000);
  expect(sizeOf('[],'.repeat(1_000))).toBe(104_000);
  expect(sizeOf('0,'.repeat(1_000))).toBe(40_000);
  expect(sizeOf(`"${'y'.repeat(1_000)}"`)).toBe(0);
});

test('100 MiB of targets are within what an upload may take by default', () => {
  const target = `"name-of-target-0000000":{"hashes":{"sha256":"${'A'.repeat(44)}"},"length":1234567},`;
  const count = (100 * 1024 * 1024) / target.length;

  expect(sizeOf(target) * count).toBeLessThan(1024 * 1024 * 1024);
});

test('of a long text is the same when others get their turn meanwhile', async () => {
  const bytes = Buffer.from('{"a":[1,2],'.repeat(50_000));
  let others = 0;
  setImmediate(() => (others += 1));

  const size = parsedSizeInTurns(bytes).then((size) => ({ size, others }));

  expect(await size).toEqual({ size: parsedSize(bytes), others: 1 });
});
