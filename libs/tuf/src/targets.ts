import { firstCertificate, flawOf } from './certificates.ts';
import * as go from './decoder.ts';
import { envelopeOf } from './envelope.ts';
import { Refusal } from './errors.ts';
import { decodedFiles } from './file-meta.ts';
import type { PublicKey } from './key.ts';
import type { Metafile } from './metafile.ts';
import { parentOf, parseDelegationName, type DelegationName, type RoleName } from './role.ts';
import { topLevelSigners, type Root } from './root.ts';
import {
  checkExpiry,
  checkRoleKeys,
  checkSignatures,
  checkTypeAndVersion,
  checkWhole,
  decodedKeys,
  invalid,
  publicKeys,
  signedPart,
  signersOf,
  type RoleFile,
  type RoleKeys,
  type Signers,
} from './signed.ts';

/** What a targets role says about others. Its own targets are the clients' business. */
export interface Targets {
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** In the order of the file; the first one of a name counts. */
  readonly delegations: readonly Delegation[];
}

interface Delegation extends RoleKeys {
  readonly name: DelegationName;
}

const decodedTargets = go.struct('data.Targets', {
  targets: go.unread(decodedFiles),
  delegations: go.struct('data.Delegations', {
    keys: decodedKeys,
    roles: go.list(
      '[]*data.Role',
      go.struct('data.Role', {
        name: go.text('data.RoleName'),
        keyids: go.list('[]string', go.text()),
        threshold: go.integer('int'),
        paths: go.list('[]string', go.text()),
      }),
    ),
  }),
});

/** Reads types and structure (WIRE §6.3.5 to 8). Throws `Refusal`. */
function readTargets(file: RoleFile): Targets {
  const { delegations } = go.decode(decodedTargets, signedPart(file));
  checkTypeAndVersion(file, 'Targets');
  const keys = publicKeys(delegations.keys);
  return {
    keys,
    delegations: delegations.roles.map(({ name, keyids, threshold }) => {
      const child = parseDelegationName(name);
      if (child === undefined || parentOf(child) !== file.role) {
        throw invalid(file.role, `delegation role ${name} invalid`);
      }
      checkRoleKeys(file, name, { keyids, threshold }, keys);
      return { name: child, keyids, threshold };
    }),
  };
}

/** Targets, or a delegation, that the rules have let pass. */
export function readStoredTargets(metafile: Metafile): Targets {
  return readTargets(roleFile(metafile));
}

/** Checks targets but for their expiry: signatures, then structure (WIRE §6.3). Throws `Refusal`. */
export function verifyTargets(metafile: Metafile, root: Root): Targets {
  const file = roleFile(metafile);
  checkWhole(file.envelope);
  checkSignatures(file, topLevelSigners(root, 'targets'));
  return readTargets(file);
}

/**
 * Checks a delegation but for its expiry: structure, then signatures, the other way round than for
 * targets (WIRE §6.4). `loaded` has the targets roles that were checked so far. Throws `Refusal`.
 */
export function verifyDelegation(
  metafile: Metafile,
  role: DelegationName,
  loaded: ReadonlyMap<RoleName, Targets>,
): Targets {
  const signers = delegationSigners(role, loaded);
  const file = roleFile(metafile);
  checkWhole(file.envelope);
  const targets = readTargets(file);
  checkSignatures(file, signers);
  return targets;
}

export function checkTargetsExpiry(metafile: Metafile, now: Date): void {
  checkExpiry(roleFile(metafile), now);
}

/** Who signs a delegation: what its parent says, if a chain of delegations leads to the parent. */
function delegationSigners(role: DelegationName, loaded: ReadonlyMap<RoleName, Targets>): Signers {
  if (!loaded.has('targets')) throw new Refusal('targets must be loaded first');
  const found = findDelegation(role, loaded);
  if (found === undefined) {
    throw new Refusal(`tuf: invalid role ${role}. delegation does not exist`);
  }
  const { parent, delegation } = found;
  const signers = signersOf(delegation, parent.keys);
  for (const key of signers.keys.values()) {
    const certificate = firstCertificate(Buffer.from(key.public, 'base64'));
    const flaw = certificate === undefined ? undefined : flawOf(certificate);
    if (flaw !== undefined) throw new Refusal(flaw);
  }
  return signers;
}

function findDelegation(
  role: DelegationName,
  loaded: ReadonlyMap<RoleName, Targets>,
): { parent: Targets; delegation: Delegation } | undefined {
  const parentName = parentOf(role);
  if (parentName !== 'targets' && findDelegation(parentName, loaded) === undefined) {
    return undefined;
  }
  const parent = loaded.get(parentName);
  const delegation = parent?.delegations.find(({ name }) => name === role);
  return parent === undefined || delegation === undefined ? undefined : { parent, delegation };
}

function roleFile(metafile: Metafile): RoleFile {
  return { role: metafile.role, envelope: envelopeOf(metafile) };
}
