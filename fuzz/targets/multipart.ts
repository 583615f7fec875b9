import { NotaryError } from '../../apps/api/src/errors.ts';
import { readParts } from '../../apps/api/src/form/multipart.ts';
import { expectSame, verdictOf, type Target } from '../target.ts';

const LIMITS = { uploadBytes: 20_000, parts: 20, parsedBytes: 1_000_000, partHeaderBytes: 2_000 };
const BOUNDARY = 'form';

/** Bodies of forms: MALFORMED_UPLOAD, or parts; the same ones however the body is cut into chunks. */
export const multipart: Target = {
  name: 'multipart',
  words: [
    '--form',
    '--form--',
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    'Content-Disposition: form-data; filename="root"',
    'Content-Type: text/plain',
    ':',
    '--',
    "filename*=UTF-8''root",
  ],
  runs: 400,
  open: () => ({
    run: async (input) => {
      const whole = await read([input]);
      const bytewise = await read(Array.from(input, (byte) => Uint8Array.of(byte)));
      expectSame(bytewise, whole, 'byte by byte it is another form');
      return whole.endsWith('refused') ? 'refusal' : 'value';
    },
  }),
};

async function read(chunks: readonly Uint8Array[]): Promise<string> {
  const seen: string[] = [];
  const verdict = await verdictOf(async () => {
    for await (const { headers, bytes } of readParts(bodyOf(chunks), BOUNDARY, LIMITS)) {
      seen.push(JSON.stringify([[...headers], bytes.toString('base64')]));
    }
  }, NotaryError);
  return `${seen.join()} ${verdict === 'value' ? 'complete' : 'refused'}`;
}

async function* bodyOf(chunks: readonly Uint8Array[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}
