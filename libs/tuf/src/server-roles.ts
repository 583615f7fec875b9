import type { Gun } from './gun.ts';
import type { KeyId } from './key.ts';
import type { Metafile } from './metafile.ts';

/**
 * What the server has to sign so that an update or a renewal becomes current. Snapshot and
 * timestamp travel together: the timestamp lists the hash of the signed snapshot, so that only
 * who signs the one can make the other without a second round trip.
 */
export interface SigningRequest {
  readonly gun: Gun;
  /** Absent when the snapshot is there already: uploaded by the client, or still current. */
  readonly snapshot?: {
    readonly version: bigint;
    /**
     * The signed part as it will stand in the file: members in canonical order (WIRE §7.3), version
     * exact. What a key signs is the canonical JSON of it (§7.2), the same but for integers that no
     * double holds.
     */
    readonly signed: string;
    readonly keyids: readonly KeyId[];
  };
  readonly timestamp: {
    readonly version: bigint;
    /** RFC 3339. */
    readonly expires: string;
    readonly keyids: readonly KeyId[];
    /** The snapshot's bytes where `snapshot` above is absent. */
    readonly snapshot?: Metafile;
  };
}

/** A signature as it stands in an envelope: `sig` in padded standard base64. */
export interface Signature {
  readonly keyid: KeyId;
  readonly method: string;
  readonly sig: string;
}

/** The answer to a `SigningRequest`: one signature per keyid asked for, in the order asked. */
export interface ServerSignatures {
  readonly snapshot?: readonly Signature[];
  readonly timestamp: readonly Signature[];
}

/** Signs with the private key of that id, which must be one made for this repository and role. */
export type Sign = (keyid: KeyId, payload: Uint8Array) => Signature;

/** Throws `TufError` `VALIDATION` unless this asks for a well-formed snapshot or timestamp. */
export function checkSigningRequest(_request: SigningRequest): void {
  throw new Error('not written yet');
}

/** Makes the signatures that a request asks for. The caller holds the keys. */
export function signServerRoles(_request: SigningRequest, _sign: Sign): ServerSignatures {
  throw new Error('not written yet');
}

/** The files that a request and its answer come to: the snapshot if one was asked for, the timestamp. */
export function assembleServerRoles(
  _request: SigningRequest,
  _signatures: ServerSignatures,
): readonly Metafile[] {
  throw new Error('not written yet');
}

/** Whether enough keys of that root signed each of these files. */
export function verifyServerRoles(_root: Metafile, _files: readonly Metafile[]): boolean {
  throw new Error('not written yet');
}
