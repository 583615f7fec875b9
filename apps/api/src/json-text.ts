/**
 * JSON with `<`, `>` and `&` (and two line separators) escaped, as every answer of the old server had
 * it: the same document to a parser, and harmless where somebody takes it for HTML.
 */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, unicodeEscape);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
