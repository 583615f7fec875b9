import { once } from 'node:events';
import { Dicer } from '@fastify/busboy';
import { withCarriageReturns, withoutCarriageReturns, type LineEnds } from './bare-line-feeds.ts';
import { withStrictDelimiters } from './delimiters.ts';
import { NotaryError } from '../errors.ts';
import { parseMediaType } from './media-type.ts';

/** What a form may measure. Sizes in bytes. */
export interface UploadLimits {
  /** The whole body. */
  readonly uploadBytes: number;
  readonly parts: number;
  /** Memory that all parts may take once they are parsed, by the estimate of `parsedSize`. */
  readonly parsedBytes: number;
  /** The header block of one part; what lies beyond is not looked at. */
  readonly partHeaderBytes: number;
}

/** One part of a form. */
export interface Part {
  /** The first value of each header by its name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: Buffer;
}

const malformed = (cause?: unknown) => new NotaryError('MALFORMED_UPLOAD', { cause });
const tooLarge = () => new NotaryError('MALFORMED_UPLOAD', { status: 413 });

/** The boundary of a form that WIRE §5.1 accepts. Throws `MALFORMED_UPLOAD`. */
export function boundaryOf(contentType: string | undefined): string {
  const media = parseMediaType(contentType ?? '');
  const boundary = media?.parameters.get('boundary');
  const isForm = media?.type === 'multipart/form-data' || media?.type === 'multipart/mixed';
  if (!isForm || !boundary) throw malformed();
  return boundary;
}

/**
 * Reads a form part by part, in order, while its body arrives. Throws `MALFORMED_UPLOAD`: with status
 * 413 where a limit is passed, else where the form is broken, cut or never closed. But not before the
 * parts ahead of that were handed out, for the first problem is the answer (WIRE §5.2).
 */
export async function* readParts(
  body: AsyncIterable<Buffer>,
  boundary: string,
  limits: UploadLimits,
): AsyncGenerator<Part> {
  const options = { boundary, maxHeaderSize: limits.partHeaderBytes };
  const form = new Dicer(options);
  const lineEnds: LineEnds = { bare: false };
  const parts: Promise<Part>[] = [];
  form.on('part', (stream) => parts.push(received(stream, lineEnds)));
  const closed = once(form, 'finish').then(
    () => true,
    () => false,
  );

  let count = 0;
  const next = async (part: Promise<Part>) => {
    count += 1;
    if (count > limits.parts) throw tooLarge();
    return part;
  };

  const limited = withinLimit(body, limits.uploadBytes);
  const lines = withCarriageReturns(limited, boundary, lineEnds);
  for await (const chunk of withStrictDelimiters(lines, boundary)) {
    if (!form.write(chunk)) await once(form, 'drain');
    // A part is complete as soon as the next one has begun.
    for (const part of parts.splice(0, parts.length - 1)) yield next(part);
  }
  form.end();
  for (const part of parts) yield next(part);
  if (!(await closed)) throw malformed();
}

async function* withinLimit(body: AsyncIterable<Buffer>, limit: number): AsyncGenerator<Buffer> {
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.byteLength;
      if (length > limit) throw tooLarge();
      yield chunk;
    }
  } catch (error) {
    // Else the connection broke, or the framing of the body did.
    throw error instanceof NotaryError ? error : malformed(error);
  }
}

function received(stream: Dicer.PartStream, lineEnds: LineEnds): Promise<Part> {
  const { promise, resolve, reject } = Promise.withResolvers<Part>();
  const headers = new Map<string, string>();
  const chunks: Buffer[] = [];
  stream.on('header', (given: object) => {
    for (const [name, [value]] of Object.entries<string[]>({ ...given })) {
      if (value !== undefined) headers.set(name, Buffer.from(value, 'latin1').toString());
    }
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', (error) => reject(malformed(error)));
  stream.on('end', () => {
    const bytes = Buffer.concat(chunks);
    // Not one header that could be read: the block is broken or was cut off.
    if (headers.size === 0) reject(malformed());
    else resolve({ headers, bytes: lineEnds.bare ? withoutCarriageReturns(bytes) : bytes });
  });
  // Nobody waits for a part behind the first problem.
  promise.catch(() => undefined);
  return promise;
}
