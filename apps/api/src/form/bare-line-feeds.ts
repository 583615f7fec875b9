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

const CR = 0x0d;
const LF = 0x0a;

// Byte by byte: replacing in strings takes a hundred times as long where there is little but LF.

export function withoutCarriageReturns(bytes: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(bytes.byteLength);
  let length = 0;
  for (let at = 0; at < bytes.byteLength; at += 1) {
    if (bytes[at] === CR && bytes[at + 1] === LF) continue;
    kept[length] = bytes[at] ?? 0;
    length += 1;
  }
  return kept.subarray(0, length);
}

function insert(bytes: Buffer): Buffer {
  const longer = Buffer.allocUnsafe(bytes.byteLength * 2);
  let length = 0;
  for (let at = 0; at < bytes.byteLength; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === LF) {
      longer[length] = CR;
      length += 1;
    }
    longer[length] = byte;
    length += 1;
  }
  return longer.subarray(0, length);
}

/** `undefined` as long as that cannot be told. */
function firstDelimiterIsBare(start: Buffer, boundary: string): boolean | undefined {
  const delimiter = `--${boundary}`;
  const at = start.indexOf(delimiter);
  const end = at === -1 ? undefined : start[at + Buffer.byteLength(delimiter)];
  return end === undefined ? undefined : end === '\n'.charCodeAt(0);
}
