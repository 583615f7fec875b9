import type { Gun } from '@scrivener/tuf';
import type { EventStore, RecordedEvent } from './event-store.ts';

/** Events read at once. */
const PAGE = 2_000;

/**
 * A stretch of the log for those who want to know what is on the wire: in front of each
 * `RepositoryRestored` come once more, as they are in the log, the publishes and renewals that it brings
 * back. There are 50,000 at most for each. The same array where there is nothing to tell again.
 */
export async function retold(
  events: readonly RecordedEvent[],
  log: Pick<EventStore, 'readStream'>,
): Promise<readonly RecordedEvent[]> {
  if (!events.some(({ event }) => event.type === 'RepositoryRestored')) return events;
  const told: RecordedEvent[] = [];
  for (const recorded of events) {
    for (const before of await broughtBack(recorded, log)) told.push(before);
    told.push(recorded);
  }
  return told;
}

/**
 * A stretch of the log without the deletions that it takes back itself: to what is on the wire at its end,
 * they and their restorations are nothing. The same array where there are none.
 */
export function withoutUndone(events: readonly RecordedEvent[]): readonly RecordedEvent[] {
  const deletions = new Map<Gun, RecordedEvent>();
  const undone = new Set<RecordedEvent>();
  for (const recorded of events) {
    const { event } = recorded;
    if (event.type === 'RepositoryDeleted') deletions.set(event.gun, recorded);
    if (isAboutFiles(recorded)) deletions.delete(event.gun);
    if (event.type !== 'RepositoryRestored') continue;
    const deletion = deletions.get(event.gun);
    if (deletion?.version !== event.data.until) continue;
    undone.add(deletion).add(recorded);
  }
  return undone.size === 0 ? events : events.filter((recorded) => !undone.has(recorded));
}

async function broughtBack(
  { event }: RecordedEvent,
  log: Pick<EventStore, 'readStream'>,
): Promise<readonly RecordedEvent[]> {
  if (event.type !== 'RepositoryRestored') return [];
  const { since, until } = event.data;
  const found: RecordedEvent[] = [];
  for (let after = since - 1; after < until - 1;) {
    const page = await log.readStream(event.gun, after, Math.min(PAGE, until - 1 - after));
    if (page.length === 0) throw new Error(`the log of ${event.gun} ends before version ${until}`);
    for (const recorded of page) if (isAboutFiles(recorded)) found.push(recorded);
    after += page.length;
  }
  return found;
}

function isAboutFiles({ event }: RecordedEvent): boolean {
  return event.type === 'UpdatePublished' || event.type === 'RoleRenewed';
}
