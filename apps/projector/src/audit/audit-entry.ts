import type { EventStore, MetafileRef, RecordedEvent } from '@scrivener/events';
import { signatureKeyids, TufError, type Sha256 } from '@scrivener/tuf';

/** An event with what its files say of who signed them. */
export interface AuditEntry extends RecordedEvent {
  readonly files: readonly SignedFile[];
}

interface SignedFile {
  readonly ref: MetafileRef;
  /** Undefined where the bytes are missing or no file of TUF: `fsck` says which. */
  readonly keyids: readonly string[] | undefined;
}

/** Files that are read at once: some may be large. */
const AT_ONCE = 32;

/** Reads keyids from the files that the events name: they are not in the log. */
export async function withSigners(
  events: Pick<EventStore, 'readBytes'>,
  recorded: readonly RecordedEvent[],
): Promise<readonly AuditEntry[]> {
  const wanted = new Set(recorded.flatMap(refsOf).map(({ sha256 }) => sha256));
  const checksums = [...wanted];
  const keyids = new Map<Sha256, readonly string[] | undefined>();
  for (let at = 0; at < checksums.length; at += AT_ONCE) {
    const files = await events.readBytes(checksums.slice(at, at + AT_ONCE));
    for (const [checksum, bytes] of files) keyids.set(checksum, signersOf(bytes));
  }
  return recorded.map((one) => {
    return { ...one, files: refsOf(one).map((ref) => ({ ref, keyids: keyids.get(ref.sha256) })) };
  });
}

function refsOf({ event }: RecordedEvent): readonly MetafileRef[] {
  return 'metafiles' in event.data ? event.data.metafiles : [];
}

function signersOf(bytes: Uint8Array): readonly string[] | undefined {
  try {
    return signatureKeyids(bytes);
  } catch (error) {
    if (error instanceof TufError) return undefined;
    throw error;
  }
}

/** One line of JSON, in the form that the events of the history API have, addresses among it. */
export function jsonOf({ position, version, hash, event, files }: AuditEntry): string {
  const { gun, type, at, cause } = event;
  return JSON.stringify({
    position,
    gun,
    version,
    type,
    at,
    hash,
    cause: {
      request_id: cause.requestId,
      subject: cause.subject,
      certificate: cause.certificate,
      certificate_sha256: cause.certificateSha256,
      remote_address: cause.remoteAddress,
      trace_id: cause.traceId,
      span_id: cause.spanId,
      operator: cause.operator,
      reason: cause.reason,
    },
    ...(event.type === 'KeyCreated' && {
      key: { role: event.data.role, keyid: event.data.keyid, keytype: event.data.key.keytype },
    }),
    ...(files.length > 0 && {
      metafiles: files.map(({ ref, keyids }) => ({
        role: ref.role,
        version: ref.version.toString(),
        sha256: ref.sha256,
        length: ref.length,
        expires: ref.expires,
        made_by: ref.madeBy,
        keyids,
      })),
    }),
  });
}
