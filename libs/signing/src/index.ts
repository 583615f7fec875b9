export {
  SigningError,
  type CreateKeyRequest,
  type Signer,
  type SigningErrorCode,
} from './signer.ts';
