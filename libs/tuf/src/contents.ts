import { canonicalJson } from './canonical-json.ts';
import * as go from './decoder.ts';
import { envelopeOf } from './envelope.ts';
import { decodedFiles, type FileMeta } from './file-meta.ts';
import type { Metafile } from './metafile.ts';
import { TOP_LEVEL_ROLES, type RoleName } from './role.ts';
import { readStoredRoot } from './root.ts';
import { signedPart } from './signed.ts';
import { readStoredTargets } from './targets.ts';

/** Who may sign a role. */
export interface RoleSigners {
  readonly role: RoleName;
  readonly keyids: readonly string[];
  readonly threshold: bigint;
}

/** A target as a targets file lists it. */
export interface TargetEntry {
  readonly length: bigint;
  /** Hex digits by the name of the algorithm. */
  readonly hashes: ReadonlyMap<string, string>;
  /** Canonical JSON. */
  readonly custom?: string;
}

/** What a stored file says that people ask about: whom it trusts and, of targets, what it lists. */
export interface Contents {
  readonly signers: readonly RoleSigners[];
  readonly targets: ReadonlyMap<string, TargetEntry>;
}

/**
 * Reads a file that was accepted before; nothing in it is checked again. A snapshot and a timestamp
 * say nothing here. Throws where it is no such file at all.
 */
export function contentsOf(metafile: Metafile): Contents {
  if (metafile.role === 'snapshot' || metafile.role === 'timestamp') {
    return { signers: [], targets: new Map() };
  }
  return metafile.role === 'root' ? rootContents(metafile) : targetsContents(metafile);
}

function rootContents(metafile: Metafile): Contents {
  const { roles } = readStoredRoot(metafile);
  const signers = TOP_LEVEL_ROLES.map((role) => ({ role, ...roles[role] }));
  return { signers, targets: new Map() };
}

const listed = go.struct('data.Targets', { targets: decodedFiles });

function targetsContents(metafile: Metafile): Contents {
  const { delegations } = readStoredTargets(metafile);
  const file = { role: metafile.role, envelope: envelopeOf(metafile) };
  const { targets } = go.decode(listed, signedPart(file));
  return {
    signers: delegations.map(({ name, keyids, threshold }) => ({ role: name, keyids, threshold })),
    targets: new Map([...targets].map(([name, meta]) => [name, entryOf(meta)])),
  };
}

function entryOf({ length, hashes, custom }: FileMeta): TargetEntry {
  return {
    length,
    hashes: new Map([...hashes].map(([algorithm, bytes]) => [algorithm, hex(bytes)])),
    ...(custom !== undefined && custom !== null && { custom: canonicalJson(custom) }),
  };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
