/**
 * The parameters of a raw query: the first of repeated ones counts; one with a broken escape or a
 * semicolon is dropped (WIRE §11).
 */
export function parseQuery(query: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&')) {
    const at = pair.indexOf('=');
    const name = unescaped(at === -1 ? pair : pair.slice(0, at));
    const value = unescaped(at === -1 ? '' : pair.slice(at + 1));
    if (pair.includes(';') || name === undefined || value === undefined) continue;
    if (!parameters.has(name)) parameters.set(name, value);
  }
  return parameters;
}

function unescaped(text: string): string | undefined {
  if (/%(?![0-9a-f]{2})/i.test(text)) return undefined;
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
