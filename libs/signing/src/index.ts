export { createKeySigner } from './key-signer.ts';
export type { KeyStore } from './key-store.ts';
export {
  SigningError,
  type CreateKeyRequest,
  type Signer,
  type SigningErrorCode,
} from './signer.ts';
