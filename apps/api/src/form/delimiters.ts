const CRLF = Buffer.from('\r\n');

/**
 * Ends a form at a line that begins like a delimiter and goes on like none. The form parser takes it for
 * one, and what it makes of the rest depends on the pieces in which it comes. Whoever reads this
 * finds a delimiter there and nothing more: the form was cut off.
 */
export async function* withStrictDelimiters(
  body: AsyncIterable<Buffer>,
  boundary: string,
): AsyncGenerator<Buffer> {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  const undecided = delimiter.byteLength + 1; // with one byte more there would be no doubt
  // The first line has no line end before it. This one is not handed on.
  let held = CRLF;
  let added = CRLF.byteLength;
  let closed = false;
  for await (const chunk of body) {
    if (closed) {
      yield chunk;
      continue;
    }
    const bytes = Buffer.concat([held, chunk]);
    const { end, kind } = lastDelimiter(bytes, delimiter);
    if (kind === 'broken') {
      yield Buffer.concat([bytes.subarray(added, end), CRLF]);
      return;
    }
    closed = kind === 'closing';
    const sure = closed ? bytes.byteLength : Math.max(bytes.byteLength - undecided, 0);
    if (sure > added) yield bytes.subarray(added, sure);
    held = bytes.subarray(sure);
    added = Math.max(added - sure, 0);
  }
  if (held.byteLength > added) yield held.subarray(added);
}

/** The first delimiter that is broken or closes the form; where there is none, the form goes on. */
function lastDelimiter(
  bytes: Buffer,
  delimiter: Buffer,
): { readonly end: number; readonly kind: 'broken' | 'closing' | 'none' } {
  let at = bytes.indexOf(delimiter);
  while (at !== -1) {
    const end = at + delimiter.byteLength;
    const behind = bytes.toString('latin1', end, end + 2);
    if (behind.length < 2) break;
    if (behind === '--') return { end, kind: 'closing' };
    if (behind !== '\r\n') return { end, kind: 'broken' };
    at = bytes.indexOf(delimiter, end);
  }
  return { end: bytes.byteLength, kind: 'none' };
}
