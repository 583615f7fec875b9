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
    /** The canonical JSON that gets signed (WIRE §7.2). */
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
