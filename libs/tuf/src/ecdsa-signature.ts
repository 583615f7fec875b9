import { derValues } from './der.ts';

// Metadata has r and s side by side, each as long as a coordinate (IEEE P1363); OpenSSL has them in DER.
// Node converts as well, but takes longer for it than OpenSSL does to sign.

const SEQUENCE = 0x30;
const INTEGER = 0x02;
/** DER writes a longer length in more than one byte. */
const SHORT = 0x7f;

/** `Ecdsa-Sig-Value` (RFC 3279, 2.2.3) of r‖s, whose halves are equally long. */
export function toDerSignature(sig: Uint8Array): Buffer {
  const half = sig.length / 2;
  const r = firstDigit(sig, 0, half);
  const s = firstDigit(sig, half, sig.length);
  const rPad = needsSign(sig, r);
  const sPad = needsSign(sig, s);
  const rLength = rPad + half - r;
  const sLength = sPad + sig.length - s;
  const length = 4 + rLength + sLength;
  const head = length > SHORT ? [SEQUENCE, 0x81, length] : [SEQUENCE, length];
  const der = Buffer.alloc(head.length + length);
  der.set(head);
  let at = head.length;
  for (const [start, end, pad] of [
    [r, half, rPad],
    [s, sig.length, sPad],
  ] as const) {
    der[at] = INTEGER;
    der[at + 1] = pad + end - start;
    der.set(sig.subarray(start, end), at + 2 + pad);
    at += 2 + pad + end - start;
  }
  return der;
}

/** r‖s, each of so many bytes, of an `Ecdsa-Sig-Value`. Throws `RangeError` where it is none. */
export function fromDerSignature(der: Uint8Array, coordinateBytes: number): Uint8Array {
  const sig = new Uint8Array(2 * coordinateBytes);
  const integers = derValues(derValues(der)[0]?.content ?? der);
  if (integers.length !== 2) throw new RangeError('not r and s');
  for (const [index, { content }] of integers.entries()) {
    const digits = content.subarray(firstDigit(content, 0, content.length));
    sig.set(digits, (index + 1) * coordinateBytes - digits.length);
  }
  return sig;
}

/** Where the number between begins; its last byte where it is 0. */
function firstDigit(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to - 1 && bytes[at] === 0) at++;
  return at;
}

/** 1 where DER would take the first bit for a minus. */
function needsSign(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) >= 0x80 ? 1 : 0;
}
