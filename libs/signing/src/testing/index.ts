export { keyStoreContract } from '../key-store.contract.ts';
export { signerContract } from '../signer.contract.ts';
export { createKeys, freshGun, publishRequest, type RepositoryKeys } from './requests.ts';
