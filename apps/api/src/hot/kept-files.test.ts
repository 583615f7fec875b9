import type { Memory, PublishedFile } from '@scrivener/read-model';
import type { Sha256 } from '@scrivener/tuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { gunOf } from '../testing/client.ts';
import { createKeptFiles, type KeptFiles, type ReadFile } from './kept-files.ts';

const gun = gunOf('a/b');
const wanted = (path: string, of = gun) =>
  ({ gun: of, path, operation: 'GetRole', kind: 'current' }) as const;
const file = (version: bigint, size = 10): PublishedFile => ({
  bytes: new Uint8Array(size),
  version,
  sha256: 'a'.repeat(64) as Sha256,
  publishedAt: new Date(0),
});

let mayAnswer: boolean;
let now: Date;
let memory: Memory;
let kept: KeptFiles;
let loads: number;
beforeEach(() => {
  mayAnswer = true;
  now = new Date(1_000);
  loads = 0;
  const join = (joining: Memory) => {
    memory = joining;
    return { mayAnswer: () => mayAnswer };
  };
  kept = createKeptFiles(join, { bytes: 10_000, now: () => now });
});
const load =
  (version = 1n, until?: Date) =>
  async (): Promise<ReadFile> => {
    loads += 1;
    return { file: file(version), until };
  };
const big = (size: number) => async () => ({ file: file(1n, size) });
const fails = async () => {
  throw new Error('away');
};
/** A load that ends when it is told to. */
const slow = () => {
  const { promise, resolve } = Promise.withResolvers<ReadFile>();
  return { load: () => promise, end: (version: bigint) => resolve({ file: file(version) }) };
};

describe('files in memory', () => {
  test('are read once, however many ask at once and afterwards', async () => {
    const all = await Promise.all([1, 2, 3].map(() => kept.read(wanted('/x'), load())));
    await kept.read(wanted('/x'), load());

    expect(all.map((each) => each?.version)).toEqual([1n, 1n, 1n]);
    expect(loads).toBe(1);
  });

  test('are forgotten when something happened to their repository, and no others', async () => {
    const other = gunOf('other');
    await kept.read(wanted('/x'), load());
    await kept.read(wanted('/y', other), load());

    memory.forget(new Map([[gun, 1]]));

    expect(kept.find('/x')).toBeUndefined();
    expect(kept.find('/y')?.gun).toBe(other);
  });

  test.each([
    ['something happened to the repository', () => memory.forget(new Map([[gun, 1]]))],
    ['everything is forgotten', () => memory.forgetAll()],
  ])('do not stay where their reading began before %s', async (_, happens) => {
    const first = slow();
    const reading = kept.read(wanted('/x'), first.load);
    await Promise.resolve(); // it has begun
    happens();
    const later = kept.read(wanted('/x'), load(2n));
    first.end(1n);

    expect((await reading)?.version).toBe(1n);
    expect((await later)?.version).toBe(2n);
    expect(kept.find('/x')?.version).toBe(2n);
  });

  test('are neither answered nor kept while the reader may not, nor is a reading shared', async () => {
    await kept.read(wanted('/x'), load());
    mayAnswer = false;

    expect(kept.find('/x')).toBeUndefined();
    await Promise.all([kept.read(wanted('/y'), load()), kept.read(wanted('/y'), load())]);

    expect(loads).toBe(3);
    mayAnswer = true;
    expect(kept.find('/y')).toBeUndefined();
  });

  test('are read again from the moment in which they expire', async () => {
    await kept.read(wanted('/x'), load(1n, new Date(2_000)));
    now = new Date(1_999);
    expect(kept.find('/x')).toBeDefined();

    now = new Date(2_000);
    expect(kept.find('/x')).toBeUndefined();
    expect((await kept.read(wanted('/x'), load(2n)))?.version).toBe(2n);
  });

  test('take no more than the bytes they may: the longest unused go', async () => {
    await kept.read(wanted('/1'), big(4_000));
    await kept.read(wanted('/2'), big(4_000));
    await kept.read(wanted('/3'), big(4_000));
    await kept.read(wanted('/huge'), big(20_000));

    expect(['/1', '/2', '/3', '/huge'].filter((path) => kept.find(path))).toEqual(['/3']);
  });

  test('are not kept where there is nothing or the reading fails, and that is told to all', async () => {
    await expect(kept.read(wanted('/x'), fails)).rejects.toThrow('away');
    expect(await kept.read(wanted('/x'), async () => undefined)).toBeUndefined();

    expect((await kept.read(wanted('/x'), load(3n)))?.version).toBe(3n);
  });
});
