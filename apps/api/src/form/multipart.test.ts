import { array, assert, asyncProperty, constantFrom, integer } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { boundaryOf, readParts, type UploadLimits } from './multipart.ts';

const LIMITS: UploadLimits = {
  uploadBytes: 10_000,
  parts: 10,
  parsedBytes: 1_000_000,
  partHeaderBytes: 1000,
};

async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function* brokenOff(): AsyncGenerator<Buffer> {
  yield Buffer.from('--b\r\n');
  throw new Error('aborted');
}

const read = async (form: string, limits = LIMITS, sizes: readonly number[] = []) => {
  const parts: string[] = [];
  const body = inChunks(Buffer.from(form, 'latin1'), sizes);
  for await (const { bytes } of readParts(body, 'b', limits)) parts.push(bytes.toString('latin1'));
  return parts;
};
const refusal = (status: number) =>
  expect.objectContaining({ name: 'NotaryError', code: 'MALFORMED_UPLOAD', status });

describe('the boundary', () => {
  test.each([
    ['multipart/form-data; boundary=b', 'b'],
    ['Multipart/Form-Data; Boundary=b', 'b'],
    ['multipart/mixed; boundary=b', 'b'],
    ['multipart/form-data; charset=utf-8; boundary="a b"; x=y;', 'a b'],
  ])('of %s', (contentType, boundary) => {
    expect(boundaryOf(contentType)).toBe(boundary);
  });

  test.each([
    undefined,
    '',
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/related; boundary=b',
    'multipart/form-data',
    'multipart/form-data; boundary',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=""',
    'multipart/form-data; boundary="b',
    'multipart/form-data; boundary=a; boundary=b',
    'multipart/form-data; boundary=a b',
  ])('is missing from %j', (contentType) => {
    expect(() => boundaryOf(contentType)).toThrow(refusal(400));
  });
});

const part = (content: string, end = '\r\n') =>
  `--b${end}Content-Disposition: form-data; filename=root${end}${end}${content}${end}`;

describe('a form is read', () => {
  test.each([
    ['without parts', '--b--', []],
    ['without parts, with a line end', '--b--\r\n', []],
    ['with one part', `${part('{}')}--b--\r\n`, ['{}']],
    ['with an empty part', `${part('')}--b--\r\n`, ['']],
    ['with several parts', `${part('1')}${part('2')}${part('')}--b--`, ['1', '2', '']],
    ['with a preamble', `hello\r\nworld\r\n${part('1')}--b--`, ['1']],
    ['with an epilogue', `${part('1')}--b--\r\nthe\r\n--b\r\nend`, ['1']],
    [
      'with bare line feeds',
      `${part('1\n2', '\n')}${part('3\r\n', '\n')}--b--\n`,
      ['1\n2', '3\r\n'],
    ],
    ['with a preamble and bare line feeds', `hello\n${part('1', '\n')}--b--`, ['1']],
    ['with something like a delimiter in it', `${part('x--b\n--b')}--b--`, ['x--b\n--b']],
    [
      'with folded headers',
      '--b\r\nContent-Disposition: form-data;\r\n filename=root\r\n\r\n1\r\n--b--',
      ['1'],
    ],
  ])('%s', async (_what, form, parts) => {
    expect(await read(form)).toEqual(parts);
  });

  test('whatever it holds, in whatever pieces it comes', async () => {
    const content = array(constantFrom('a', '-', '--', '\r', '\n', '\r\n', '{', '--b', 'b'), {
      maxLength: 8,
    })
      .map((pieces) => pieces.join(''))
      .filter((text) => !/(^|\n)--b/.test(text));
    const sizes = array(integer({ min: 1, max: 12 }), { maxLength: 100 });

    await assert(
      asyncProperty(
        array(content, { maxLength: 4 }),
        constantFrom('\r\n', '\n'),
        sizes,
        async (contents, end, chunks) => {
          const form = `${contents.map((text) => part(text, end)).join('')}--b--${end}`;
          expect(await read(form, LIMITS, chunks)).toEqual(contents);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('a form is refused', () => {
  test.each([
    ['an empty body', ''],
    ['garbage', 'hello'],
    ['gzip', '\x1f\x8b\x08\x00'],
    ['another boundary', '--c\r\nContent-Disposition: x\r\n\r\n{}\r\n--c--\r\n'],
    ['no end', part('{}')],
    ['no end of a part', '--b\r\nContent-Disposition: x\r\n\r\n{}'],
    ['a cut header', '--b\r\nContent-Dispo'],
    ['only headers', '--b\r\nContent-Disposition: x\r\n--b--\r\n'],
    ['only a delimiter', '--b'],
    ['a broken header', '--b\r\nContent-Disposition\r\n\r\n{}\r\n--b--'],
    ['bare line feeds without an end', part('{}', '\n')],
    ['a header behind a delimiter', `${part('1')}--bContent-Type: x\r\n\r\n2\r\n--b--`],
    ['a hyphen behind a delimiter', `${part('1')}--b-\r\nA: x\r\n\r\n2\r\n--b--`],
    ['a delimiter that goes on, first', `--bc\r\nA: x\r\n\r\n2\r\n--b--`],
  ])('%s', async (_what, form) => {
    await expect(read(form)).rejects.toThrow(refusal(400));
  });

  test('every form that is cut off anywhere', async () => {
    const form = `hello\r\n${part('1')}${part('2')}--b--`;
    const cuts = Array.from({ length: form.length }, (_, length) => form.slice(0, length));

    const answers = await Promise.allSettled(cuts.map((cut) => read(cut)));

    expect(answers).toEqual(cuts.map(() => ({ status: 'rejected', reason: refusal(400) })));
  });

  test.each([
    ['bytes', { ...LIMITS, uploadBytes: 20 }],
    ['parts', { ...LIMITS, parts: 1 }],
  ])('with 413 for more %s than the limit', async (_what, limits) => {
    await expect(read(`${part('1')}${part('2')}--b--`, limits)).rejects.toThrow(refusal(413));
  });

  test('when the connection breaks', async () => {
    await expect(readParts(brokenOff(), 'b', LIMITS).next()).rejects.toThrow(refusal(400));
  });

  test('only after the parts that are complete', async () => {
    const parts = readParts(inChunks(Buffer.from(`${part('1')}${part('2')}`), []), 'b', LIMITS);

    expect((await parts.next()).value?.bytes.toString()).toBe('1');
    await expect(parts.next()).rejects.toThrow(refusal(400));
  });
});
