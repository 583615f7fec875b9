import type { Cause, EventStore, RecordedEvent } from '@scrivener/events';
import { signatureKeyids, type Sha256 } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const instant = z.iso.datetime();

export const causeDocument = z
  .strictObject({
    request_id: z.string().optional(),
    subject: z.string().optional().describe('`sub` of the token'),
    certificate: z.string().optional().describe('subject of the client’s certificate'),
    certificate_sha256: sha256.optional(),
    remote_address: z.string().optional().describe('for administrators, where it is noted'),
    operator: z.string().optional().describe('who typed a command'),
    reason: z.string().optional().describe('why they did, in their words'),
    trace_id: z.string().optional(),
    span_id: z.string().optional(),
  })
  .describe('who asked, as far as it is known');

/** An event as the history API tells it. Versions are text, for they are int64. */
export const eventDocument = z.strictObject({
  position: z.int().min(1).describe('place in the whole log'),
  gun: z.string().min(1),
  version: z.int().min(1).describe('place in the log of this repository'),
  type: z
    .string()
    .describe(
      '`KeyCreated`, `UpdatePublished`, `RoleRenewed`, `RepositoryDeleted`, `RepositoryRestored` …',
    ),
  at: instant,
  hash: sha256.describe('of the event and of the hash before it'),
  cause: causeDocument,
  key: z
    .strictObject({ role: z.string(), keyid: sha256, keytype: z.string() })
    .optional()
    .describe('the key that was made'),
  metafiles: z
    .array(
      z.strictObject({
        role: z.string(),
        version: z.string().regex(/^-?\d+$/),
        sha256,
        length: z.int().min(0).describe('bytes'),
        expires: instant,
        made_by: z.enum(['client', 'server']),
        keyids: z.array(z.string()).describe('of its signatures'),
      }),
    )
    .optional()
    .describe('what became current'),
});

export type EventDocument = z.output<typeof eventDocument>;

/** Whose keys signed a stored file, by its checksum. */
export type KeyidsOf = (sha256: Sha256) => readonly string[];

/** Files whose keyids are kept at hand. */
const KEPT = 20_000;
/** Files that are read at once: some may be large. */
const AT_ONCE = 32;

/** Reads keyids from the files that events name. They are not in the log: the files say it best. */
export function createKeyids(
  events: Pick<EventStore, 'readBytes'>,
): (recorded: readonly RecordedEvent[]) => Promise<KeyidsOf> {
  const kept = new LRUCache<Sha256, readonly string[]>({ max: KEPT });
  return async (recorded) => {
    const wanted = new Set(
      recorded.flatMap(({ event }) => filesOf(event)).map((ref) => ref.sha256),
    );
    const found = new Map<Sha256, readonly string[]>();
    const missing: Sha256[] = [];
    for (const checksum of wanted) {
      const keyids = kept.get(checksum);
      if (keyids === undefined) missing.push(checksum);
      else found.set(checksum, keyids);
    }
    for (let at = 0; at < missing.length; at += AT_ONCE) {
      const files = await events.readBytes(missing.slice(at, at + AT_ONCE));
      for (const [checksum, bytes] of files) {
        const keyids = signatureKeyids(bytes);
        kept.set(checksum, keyids);
        found.set(checksum, keyids);
      }
    }
    return (checksum) => found.get(checksum) ?? [];
  };
}

function filesOf({ data }: RecordedEvent['event']) {
  return 'metafiles' in data ? data.metafiles : [];
}

/** What one who may pull is told; addresses are for administrators. */
export function documentOf(
  { position, version, hash, event }: RecordedEvent,
  keyidsOf: KeyidsOf,
  { isAdmin }: { readonly isAdmin: boolean },
): EventDocument {
  const { gun, type, at, cause, data } = event;
  return {
    position,
    gun,
    version,
    type,
    at,
    hash,
    cause: causeOf(cause, { isAdmin }),
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
        keyids: [...keyidsOf(ref.sha256)],
      })),
    }),
  };
}

/** Addresses of publishers are nothing that everybody who may pull has to know. */
export function causeOf(
  cause: Cause,
  { isAdmin }: { readonly isAdmin: boolean },
): z.output<typeof causeDocument> {
  const { requestId, subject, certificate, certificateSha256, remoteAddress } = cause;
  return {
    ...(requestId !== undefined && { request_id: requestId }),
    ...(subject !== undefined && { subject }),
    ...(certificate !== undefined && { certificate }),
    ...(certificateSha256 !== undefined && { certificate_sha256: certificateSha256 }),
    ...(isAdmin && remoteAddress !== undefined && { remote_address: remoteAddress }),
    ...(cause.operator !== undefined && { operator: cause.operator }),
    ...(cause.reason !== undefined && { reason: cause.reason }),
    ...(cause.traceId !== undefined && { trace_id: cause.traceId }),
    ...(cause.spanId !== undefined && { span_id: cause.spanId }),
  };
}
