/** One value in ASN.1's DER: its tag and its content. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
}

/** The values in a row of DER values. Throws `RangeError` where they do not fit. */
export function derValues(bytes: Uint8Array): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = byteAt(bytes, at);
    const [length, start] = lengthAt(bytes, at + 1);
    if (start + length > bytes.length) throw new RangeError('DER value is cut off');
    values.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return values;
}

function lengthAt(bytes: Uint8Array, at: number): [length: number, start: number] {
  const first = byteAt(bytes, at);
  if (first < 0x80) return [first, at + 1];
  const size = first & 0x7f;
  if (size === 0 || size > 4) throw new RangeError('DER length is too long');
  let length = 0;
  for (let index = 1; index <= size; index++) length = length * 256 + byteAt(bytes, at + index);
  return [length, at + 1 + size];
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new RangeError('DER value is cut off');
  return byte;
}
