export { gatherQuestions } from './gather.ts';
export { createJobKey, JobKeyError, parseJobKeys, type JobKeys } from './job-keys.ts';
export { createKeySigner } from './key-signer.ts';
export { UnreadableKey, type HeldKey, type KeyStore } from './key-store.ts';
export {
  SigningError,
  type CreateKeyRequest,
  type Signer,
  type SigningErrorCode,
} from './signer.ts';
