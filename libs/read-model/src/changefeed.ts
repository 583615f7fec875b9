import type { RecordedEvent } from '@scrivener/events';
import type { Change, ChangesQuery } from './read-model.ts';

/** A change but for its id, which is its place among all changes: 1, 2, 3 … */
export interface ChangeRow extends Omit<Change, 'id' | 'createdAt'> {
  /** `at` of the event. */
  readonly createdAt: string;
  readonly position: number;
}

/** The changes that a stretch of the log adds: one for each timestamp that becomes current and each deletion (WIRE §9, §10). */
export function changeRows(events: readonly RecordedEvent[]): ChangeRow[] {
  return events.flatMap(({ position, event }): ChangeRow[] => {
    const { gun, at: createdAt } = event;
    switch (event.type) {
      case 'UpdatePublished':
      case 'RoleRenewed':
      case 'RepositoryRestored':
        return event.data.metafiles
          .filter(({ role }) => role === 'timestamp')
          .map(({ version, sha256 }) => {
            return { gun, createdAt, version, sha256, category: 'update', position };
          });
      case 'RepositoryDeleted':
        return [{ gun, createdAt, version: 0n, sha256: '', category: 'deletion', position }];
      case 'KeyCreated':
        break;
    }
    return [];
  });
}

/** Which changes a query means: the `limit` oldest or newest ones with an id in between. */
export interface Page {
  readonly from: 'oldest' | 'newest';
  /** Only ids above this; at least 0. */
  readonly above: number;
  /** Only ids below this. */
  readonly below?: number;
  readonly limit: number;
}

/** WIRE §11's table, line by line. */
export function pageOf({ changeId, records }: Pick<ChangesQuery, 'changeId' | 'records'>): Page {
  const limit = Math.abs(records);
  if (changeId < 0) return { from: 'newest', above: 0, limit };
  if (records >= 0) return { from: 'oldest', above: changeId, limit };
  if (changeId === 0) return { from: 'newest', above: 0, limit };
  return { from: 'newest', above: 0, below: changeId, limit };
}
