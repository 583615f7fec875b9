export { TufError, type TufErrorCode } from './errors.ts';
export { parseGun, type Gun } from './gun.ts';
export type { KeyId, PublicKey, ServerKeyAlgorithm } from './key.ts';
export { sha256Of, type Metafile, type Sha256 } from './metafile.ts';
export type { DelegationName, RoleName, ServerRole, TopLevelRole } from './role.ts';
export type { ServerSignatures, Signature, SigningRequest } from './server-roles.ts';
