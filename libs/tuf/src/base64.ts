import { Refusal } from './errors.ts';

/** Standard base64 with its padding; line ends inside are skipped (WIRE §5.3). Throws `Refusal`. */
export function decodeBase64(text: string): Uint8Array {
  const plain = /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, '') : text;
  if (!isPlainBase64(plain))
    throw new Refusal(`illegal base64 data at input byte ${offence(text)}`);
  return Buffer.from(plain, 'base64');
}

/** Without line ends, and without one big pattern: it would overflow its stack on a text of many megabytes. */
export function isPlainBase64(text: string): boolean {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.slice(0, text.length - padding);
  return text.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(digits);
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Where Go's decoder stops: it counts bytes, and blames an early end on the start of its group. */
function offence(text: string): number {
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  const skipLineEnds = (): void => {
    while (bytes[at] === 0x0a || bytes[at] === 0x0d) at++;
  };
  for (;;) {
    for (let digit = 0; digit < 4; digit++) {
      skipLineEnds();
      const byte = bytes[at];
      if (byte === undefined) return at - digit;
      at++;
      if (isDigit(byte)) continue;
      if (byte !== PAD || digit < 2) return at - 1;
      skipLineEnds();
      if (digit === 2) {
        if (at === bytes.length) return at;
        if (bytes[at] !== PAD) return at - 1;
        at++;
        skipLineEnds();
      }
      return at;
    }
  }
}

const PAD = 0x3d;

function isDigit(byte: number): boolean {
  return /[A-Za-z0-9+/]/.test(String.fromCharCode(byte));
}
