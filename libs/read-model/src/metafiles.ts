import type { RecordedEvent } from '@scrivener/events';
import type { Gun, RoleName, Sha256 } from '@scrivener/tuf';

/** One stored version of a role. Its bytes stay in the log. */
export interface MetafileRow {
  readonly gun: Gun;
  readonly role: RoleName;
  readonly version: bigint;
  readonly sha256: Sha256;
  /** `at` of the event. */
  readonly publishedAt: string;
  readonly position: number;
}

/** First `removed`: every row of these repositories; then `added`, which has no row twice. */
export interface MetafileChanges {
  readonly removed: readonly Gun[];
  readonly added: readonly MetafileRow[];
}

/**
 * What a stretch of the log does to `metafiles`. Pure and total: a replay from the start gives the
 * same table, and no event that is in the log can stop it. Where an event repeats a version, which
 * no decision allows, the later one counts. Of `retold` events: a restoration says itself only what is
 * current.
 */
export function metafileChanges(events: readonly RecordedEvent[]): MetafileChanges {
  const removed = new Set<Gun>();
  const added = new Map<Gun, Map<string, MetafileRow>>();
  for (const recorded of events) {
    const { gun } = recorded.event;
    if (recorded.event.type === 'RepositoryDeleted') {
      removed.add(gun);
      added.delete(gun);
    }
    const rows = added.get(gun) ?? new Map<string, MetafileRow>();
    for (const row of metafileRows(recorded)) rows.set(`${row.role} ${row.version}`, row);
    added.set(gun, rows);
  }
  return {
    removed: [...removed],
    added: [...added.values()].flatMap((rows) => [...rows.values()]),
  };
}

/** The rows that one event adds. */
function metafileRows({ position, event }: RecordedEvent): MetafileRow[] {
  switch (event.type) {
    case 'UpdatePublished':
    case 'RoleRenewed': {
      const { gun, at: publishedAt } = event;
      return event.data.metafiles.map(({ role, version, sha256 }) => {
        return { gun, role, version, sha256, publishedAt, position };
      });
    }
    case 'KeyCreated':
    case 'RepositoryDeleted':
    case 'RepositoryRestored':
      break;
  }
  return [];
}
