import {
  documentOf as toldOf,
  filesOf,
  readKeyids,
  type EventStore,
  type RecordedEvent,
} from '@scrivener/events';
import type { Sha256 } from '@scrivener/tuf';
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
type KeyidsOf = (sha256: Sha256) => readonly string[];

/** Files whose keyids are kept at hand. */
const KEPT = 20_000;

/** Reads keyids from the files that events name; none where a file cannot be read. */
export function createKeyids(
  events: Pick<EventStore, 'readBytes'>,
): (recorded: readonly RecordedEvent[]) => Promise<KeyidsOf> {
  const kept = new LRUCache<Sha256, readonly string[]>({ max: KEPT });
  return async (recorded) => {
    const wanted = new Set(recorded.flatMap(filesOf).map((ref) => ref.sha256));
    const found = new Map<Sha256, readonly string[]>();
    const missing: Sha256[] = [];
    for (const checksum of wanted) {
      const keyids = kept.get(checksum);
      if (keyids === undefined) missing.push(checksum);
      else found.set(checksum, keyids);
    }
    for (const [checksum, keyids = []] of await readKeyids(events, missing)) {
      kept.set(checksum, keyids);
      found.set(checksum, keyids);
    }
    return (checksum) => found.get(checksum) ?? [];
  };
}

/** What one who may pull is told; addresses are for administrators. */
export function documentOf(
  recorded: RecordedEvent,
  keyidsOf: KeyidsOf,
  { isAdmin }: { readonly isAdmin: boolean },
): EventDocument {
  return toldOf(recorded, (sha256) => [...keyidsOf(sha256)], { hasAddress: isAdmin });
}
