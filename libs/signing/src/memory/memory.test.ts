import { describe } from 'vitest';
import { keyStoreContract } from '../key-store.contract.ts';
import { signerContract } from '../signer.contract.ts';
import { createMemorySigner, MemoryKeyStore } from './index.ts';

describe('MemoryKeyStore', () => {
  keyStoreContract(async () => new MemoryKeyStore());
});

describe('the memory signer', () => {
  signerContract(async () => createMemorySigner());
});
