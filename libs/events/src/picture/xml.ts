/** What must not stand in XML, or would turn round the text that follows it. */
const HOSTILE = /[\p{Cc}\u202A-\u202E\u2066-\u2069\uFFFE\uFFFF]/gu;

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Any text as text of an XML document, between tags or quotes. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(HOSTILE, '\uFFFD')
    .replace(/[&<>"']/g, (character) => NAMED[character] ?? '');
}

/** At most so many characters. */
export function shorten(text: string, most: number): string {
  const characters = Array.from(text.slice(0, 4 * most));
  return characters.length <= most && text.length <= 4 * most
    ? text
    : `${characters.slice(0, most - 1).join('')}…`;
}

/** A line of text in a picture; `className` may be empty. */
export function text(x: number, y: number, className: string, content: string): string {
  const named = className === '' ? '' : ` class="${className}"`;
  return `<text${named} x="${x}" y="${y}">${escapeXml(content)}</text>`;
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
