import { createKeySigner } from '../key-signer.ts';
import type { Signer } from '../signer.ts';
import { MemoryKeyStore } from './key-store.ts';

export { MemoryKeyStore } from './key-store.ts';

/** Trust service `local`: keys in this process, gone when it ends (SIGNER §1). */
export function createMemorySigner(): Signer {
  return createKeySigner(new MemoryKeyStore());
}
