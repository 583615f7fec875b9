export { verifySignature } from './algorithms.ts';
export { canonicalJson } from './canonical-json.ts';
export { contentsOf, type Contents, type RoleSigners, type TargetEntry } from './contents.ts';
export {
  envelopeOf,
  marshalEnvelope,
  parseMetafile,
  signatureKeyids,
  type Envelope,
  type EnvelopeSignature,
  type WrittenSignature,
} from './envelope.ts';
export { TufError, type TufErrorCode } from './errors.ts';
export { DEFAULT_GUARD, GuardRefusal, type Guard } from './guard.ts';
export { parseGun, type Gun } from './gun.ts';
export {
  keyId,
  renderPublicKey,
  type KeyId,
  type PublicKey,
  type ServerKeyAlgorithm,
} from './key.ts';
export { isRead, sha256Of, type Metafile, type Sha256, type UploadedFile } from './metafile.ts';
export { SERVER_ROLE_LIFETIME } from './next-roles.ts';
export { expiryOf, isExpired, planRenewal, serverKeyOf, type Renewal } from './plan-renewal.ts';
export { NOTHING_TRUSTED, verifyPublished, type Flaw, type TrustedPast } from './published.ts';
export {
  parseRoleName,
  type DelegationName,
  type RoleName,
  type ServerRole,
  type TopLevelRole,
} from './role.ts';
export { certificatesExpireAt } from './root.ts';
export { generateServerKey, importServerKey, type ServerPrivateKey } from './server-key.ts';
export {
  assembleServerRoles,
  checkServerPayload,
  checkSigningRequest,
  signServerRoles,
  snapshotPayload,
  timestampPayload,
  verifyServerRoles,
  type ServerSignatures,
  type Sign,
  type Signature,
  type SigningRequest,
} from './server-roles.ts';
export {
  rolesInPlay,
  rolesRead,
  verifyUpdate,
  type Update,
  type VerifiedUpdate,
} from './verify-update.ts';
