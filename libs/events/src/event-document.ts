import { signatureKeyids, TufError, type Sha256 } from '@scrivener/tuf';
import type { EventStore, RecordedEvent } from './event-store.ts';
import type { Cause, MetafileRef } from './repository-events.ts';

/** Who asked, as far as it is known. */
export interface CauseDocument {
  request_id?: string;
  subject?: string;
  certificate?: string;
  certificate_sha256?: string;
  remote_address?: string;
  operator?: string;
  reason?: string;
  trace_id?: string;
  span_id?: string;
}

/** An event as others are told of it, in JSON: by the history API, and by `audit`. */
export interface EventDocument<Keyids extends string[] | undefined> {
  position: number;
  gun: string;
  version: number;
  type: string;
  at: string;
  hash: string;
  cause: CauseDocument;
  key?: { role: string; keyid: string; keytype: string };
  metafiles?: {
    role: string;
    /** Text, for it is an int64. */
    version: string;
    sha256: string;
    length: number;
    expires: string;
    made_by: 'client' | 'server';
    keyids: Keyids;
  }[];
}

/** Files that are read at once: some may be large. */
const AT_ONCE = 32;

/** The files that an event names. */
export function filesOf({ event: { data } }: RecordedEvent): readonly MetafileRef[] {
  return 'metafiles' in data ? data.metafiles : [];
}

/**
 * Whose keys signed stored files, by checksum; they are not in the log, for the files say it best. Absent
 * where the bytes are missing, undefined where they are no file of TUF: `fsck` says which.
 */
export async function readKeyids(
  events: Pick<EventStore, 'readBytes'>,
  checksums: readonly Sha256[],
): Promise<ReadonlyMap<Sha256, readonly string[] | undefined>> {
  const found = new Map<Sha256, readonly string[] | undefined>();
  for (let at = 0; at < checksums.length; at += AT_ONCE) {
    const files = await events.readBytes(checksums.slice(at, at + AT_ONCE));
    for (const [checksum, bytes] of files) found.set(checksum, signersOf(bytes));
  }
  return found;
}

function signersOf(bytes: Uint8Array): readonly string[] | undefined {
  try {
    return signatureKeyids(bytes);
  } catch (error) {
    if (error instanceof TufError) return undefined;
    throw error;
  }
}

/** `keyidsOf` decides what is said of a file that cannot be read. */
export function documentOf<Keyids extends string[] | undefined>(
  { position, version, hash, event }: RecordedEvent,
  keyidsOf: (sha256: Sha256) => Keyids,
  { hasAddress }: { readonly hasAddress: boolean },
): EventDocument<Keyids> {
  const { gun, type, at, cause, data } = event;
  return {
    position,
    gun,
    version,
    type,
    at,
    hash,
    cause: causeOf(cause, { hasAddress }),
    ...('key' in data && {
      key: { role: data.role, keyid: data.keyid, keytype: data.key.keytype },
    }),
    ...('metafiles' in data && {
      metafiles: data.metafiles.map((ref) => ({
        role: ref.role,
        version: ref.version.toString(),
        sha256: ref.sha256,
        length: ref.length,
        expires: ref.expires,
        made_by: ref.madeBy,
        keyids: keyidsOf(ref.sha256),
      })),
    }),
  };
}

/** Addresses of publishers are nothing that everybody who may pull has to know. */
export function causeOf(
  cause: Cause,
  { hasAddress }: { readonly hasAddress: boolean },
): CauseDocument {
  const { requestId, subject, certificate, certificateSha256, remoteAddress } = cause;
  return {
    ...(requestId !== undefined && { request_id: requestId }),
    ...(subject !== undefined && { subject }),
    ...(certificate !== undefined && { certificate }),
    ...(certificateSha256 !== undefined && { certificate_sha256: certificateSha256 }),
    ...(hasAddress && remoteAddress !== undefined && { remote_address: remoteAddress }),
    ...(cause.operator !== undefined && { operator: cause.operator }),
    ...(cause.reason !== undefined && { reason: cause.reason }),
    ...(cause.traceId !== undefined && { trace_id: cause.traceId }),
    ...(cause.spanId !== undefined && { span_id: cause.spanId }),
  };
}
