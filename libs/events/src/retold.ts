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
