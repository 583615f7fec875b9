import { createHash } from 'node:crypto';
import type { Gun } from '@scrivener/tuf';

/** What streams are found by: an index entry holds less than a GUN may. */
export function gunDigest(gun: Gun): Buffer {
  return createHash('sha256').update(gun).digest();
}

export const bytea = (digits: string) => Buffer.from(digits, 'hex');
export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
