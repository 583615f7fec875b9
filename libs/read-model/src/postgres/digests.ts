import { createHash } from 'node:crypto';
import type { Gun } from '@scrivener/tuf';

/** What a GUN is indexed by: an index entry holds 2704 bytes at most, and a GUN may be longer. */
export function gunDigest(gun: Gun): Buffer {
  return createHash('sha256').update(gun).digest();
}

export const bytea = (digits: string) => Buffer.from(digits, 'hex');
