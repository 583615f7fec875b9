import { createHash } from 'node:crypto';
import type { Gun } from '@scrivener/tuf';

/** What a GUN is indexed and ordered by: an index entry holds 2704 bytes, and a GUN may be longer. */
export function gunDigest(gun: Gun): Buffer {
  return createHash('sha256').update(gun).digest();
}

export const gunHex = (gun: Gun): string => gunDigest(gun).toString('hex');
