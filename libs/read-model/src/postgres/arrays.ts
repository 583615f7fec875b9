// Arrays as PostgreSQL has them in its binary form (array_recv in arrayfuncs.c), for the driver sends a
// Buffer as it is. As text, each element would be quoted here and read again there, which took most of
// the time in which many rows were written.

interface ElementType<Value> {
  /** In `pg_type`. */
  readonly oid: number;
  readonly size: (value: Value) => number;
  readonly write: (value: Value, into: Buffer, at: number) => void;
}

const DIMENSIONS = 1;
const HEAD = 20;
const LENGTH = 4;
const NULL = -1;

function arrayOf<Value>({ oid, size, write }: ElementType<Value>) {
  return (values: readonly (Value | null)[]): Buffer => {
    let total = HEAD;
    let nulls = 0;
    for (const value of values) {
      total += LENGTH;
      if (value === null) nulls = 1;
      else total += size(value);
    }
    const bytes = Buffer.allocUnsafe(total);
    bytes.writeInt32BE(DIMENSIONS, 0);
    bytes.writeInt32BE(nulls, 4);
    bytes.writeInt32BE(oid, 8);
    bytes.writeInt32BE(values.length, 12);
    bytes.writeInt32BE(1, 16); // the index of the first
    let at = HEAD;
    for (const value of values) {
      const length = value === null ? NULL : size(value);
      bytes.writeInt32BE(length, at);
      at += LENGTH;
      if (value === null) continue;
      write(value, bytes, at);
      at += length;
    }
    return bytes;
  };
}

export const byteaArray = arrayOf<Uint8Array>({
  oid: 17,
  size: ({ length }) => length,
  write: (value, into, at) => into.set(value, at),
});

/** Of lower-case hex digits. */
export const hexArray = arrayOf<string>({
  oid: 17,
  size: ({ length }) => length / 2,
  write: (value, into, at) => void into.write(value, at, 'hex'),
});

export const textArray = arrayOf<string>({
  oid: 25,
  size: (value) => Buffer.byteLength(value),
  write: (value, into, at) => void into.write(value, at),
});

export const bigintArray = arrayOf<number | bigint>({
  oid: 20,
  size: () => 8,
  write: (value, into, at) => {
    if (typeof value === 'number') writeInteger(value, into, at);
    else into.writeBigInt64BE(value, at);
  },
});

/** Milliseconds since 1970 at which PostgreSQL begins to count. */
const EPOCH = Date.UTC(2000, 0, 1);

/** Of RFC 3339 with milliseconds at most. Throws `RangeError` where the calendar has no such moment. */
export const timeArray = arrayOf<string>({
  oid: 1184,
  size: () => 8,
  write: (value, into, at) => {
    const microseconds = (Date.parse(value) - EPOCH) * 1_000;
    if (Number.isSafeInteger(microseconds)) writeInteger(microseconds, into, at);
    else into.writeBigInt64BE(BigInt(Date.parse(value) - EPOCH) * 1_000n, at); // of NaN there is none
  },
});

/** Takes a third of the time that BigInt takes. */
function writeInteger(value: number, into: Buffer, at: number): void {
  into.writeInt32BE(Math.floor(value / 2 ** 32), at);
  into.writeUInt32BE(value >>> 0, at + 4);
}
