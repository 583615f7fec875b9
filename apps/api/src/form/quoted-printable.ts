/**
 * Undoes `Content-Transfer-Encoding: quoted-printable` (RFC 2045 §6.7). In linear time, whatever
 * comes in, which the regular expressions of the usual libraries do not promise for runs of blanks.
 */
export function decodeQuotedPrintable(bytes: Buffer): Buffer {
  const lines = bytes.toString('latin1').split('\n');
  const decoded = lines.map((line, index) => {
    const isLast = index === lines.length - 1;
    const end = line.endsWith('\r') ? '\r\n' : '\n';
    const text = withoutTrailingBlanks(line);
    if (text.endsWith('=')) return unescaped(text.slice(0, -1));
    return unescaped(text) + (isLast ? '' : end);
  });
  return Buffer.from(decoded.join(''), 'latin1');
}

/** Blanks at the end of a line were added on the way. */
function withoutTrailingBlanks(line: string): string {
  let end = line.length;
  while (end > 0 && ' \t\r'.includes(line.charAt(end - 1))) end -= 1;
  return line.slice(0, end);
}

function unescaped(text: string): string {
  return text.replace(/=([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
