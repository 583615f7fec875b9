/** What the lines of a form end in. */
export interface LineEnds {
  /** LF alone, as old clients and hand-made forms have it (WIRE §5.1). */
  bare: boolean;
}

/** Bytes in front of the first part that are searched for a delimiter line. */
const LONGEST_PREAMBLE = 64 * 1024;

/**
 * The form parser knows CRLF only. Where the first delimiter line of a form ends in a bare LF, this
 * puts a CR before every LF of it and notes so in `lineEnds`; `withoutCarriageReturns` then gives
 * the parts their own bytes back, whatever they hold. Any other form passes as it is.
 */
export async function* withCarriageReturns(
  body: AsyncIterable<Buffer>,
  boundary: string,
  lineEnds: LineEnds,
): AsyncGenerator<Buffer> {
  let start: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of body) {
    if (start === undefined) {
      yield lineEnds.bare ? insert(chunk) : chunk;
      continue;
    }
    start = Buffer.concat([start, chunk]);
    const bare = firstDelimiterIsBare(start, boundary);
    if (bare === undefined && start.byteLength < LONGEST_PREAMBLE) continue;
    lineEnds.bare = bare === true;
    yield lineEnds.bare ? insert(start) : start;
    start = undefined;
  }
  if (start !== undefined) yield start;
}

export function withoutCarriageReturns(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
}

function insert(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

/** `undefined` as long as that cannot be told. */
function firstDelimiterIsBare(start: Buffer, boundary: string): boolean | undefined {
  const delimiter = `--${boundary}`;
  const at = start.indexOf(delimiter);
  const end = at === -1 ? undefined : start[at + Buffer.byteLength(delimiter)];
  return end === undefined ? undefined : end === '\n'.charCodeAt(0);
}
