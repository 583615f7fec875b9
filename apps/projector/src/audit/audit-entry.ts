import {
  documentOf,
  filesOf,
  readKeyids,
  type EventStore,
  type MetafileRef,
  type RecordedEvent,
} from '@scrivener/events';

/** An event with what its files say of who signed them. */
export interface AuditEntry extends RecordedEvent {
  readonly files: readonly SignedFile[];
}

interface SignedFile {
  readonly ref: MetafileRef;
  /** Undefined where the bytes are missing or no file of TUF: `fsck` says which. */
  readonly keyids: readonly string[] | undefined;
}

/** Reads from the files that the events name who signed them. */
export async function withSigners(
  events: Pick<EventStore, 'readBytes'>,
  recorded: readonly RecordedEvent[],
): Promise<readonly AuditEntry[]> {
  const wanted = new Set(recorded.flatMap(filesOf).map(({ sha256 }) => sha256));
  const keyids = await readKeyids(events, [...wanted]);
  return recorded.map((one) => {
    return { ...one, files: filesOf(one).map((ref) => ({ ref, keyids: keyids.get(ref.sha256) })) };
  });
}

/** One line of JSON, in the form that the events of the history API have, addresses among it. */
export function jsonOf(entry: AuditEntry): string {
  const keyids = new Map(entry.files.map((file) => [file.ref.sha256, file.keyids]));
  const keyidsOf = (sha256: MetafileRef['sha256']) => keyids.get(sha256)?.slice();
  return JSON.stringify(documentOf(entry, keyidsOf, { hasAddress: true }));
}
