import { NotaryError } from '../errors.ts';
import type { Receipt } from './admission.ts';

/**
 * The body of an upload, on whose account each chunk goes before anybody holds it. Throws `UNAVAILABLE`
 * where there is no room for it, or where the upload was cut because it is slow.
 */
export async function* admittedBody(
  body: AsyncIterable<Buffer>,
  receipt: Receipt,
): AsyncGenerator<Buffer> {
  const { promise: cut, reject } = Promise.withResolvers<never>();
  cut.catch(() => {}); // where nobody waits for the next chunk
  const onCut = () => reject(refused(receipt.cut.reason));
  receipt.cut.addEventListener('abort', onCut, { once: true });
  const chunks = body[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const { done, value } = await Promise.race([chunks.next(), cut]);
      isOver = done === true;
      if (done === true) return;
      account(receipt, value.byteLength);
      yield value;
    }
  } finally {
    receipt.cut.removeEventListener('abort', onCut);
    // Not waited for: where the upload was cut, the chunk that is asked for may never come.
    if (!isOver) void chunks.return?.().catch(() => {});
  }
}

/** Takes account of what an upload holds. Throws `UNAVAILABLE` where there is no room for it. */
export function account(receipt: Receipt, bytes: number): void {
  try {
    receipt.received(bytes);
  } catch (error) {
    throw refused(error);
  }
}

/** In the words of the form's reader, which takes any other error for a broken form. */
function refused(cause: unknown): NotaryError {
  return new NotaryError('UNAVAILABLE', { cause });
}
