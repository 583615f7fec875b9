import {
  emptyRepository,
  evolveAll,
  restoreRepository,
  WrongExpectedVersion,
  type EventStore,
  type RecordedEvent,
  type Repository,
  type Restoration,
} from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';

/** Events read at once. */
const PAGE = 2_000;

/**
 * Takes the last deletion of a repository back: one event, that names only files which the log holds.
 * Decides again where somebody else wrote to the repository meanwhile. Where the answer got lost the event
 * may be there; then a second run is refused, for the repository is not deleted any more.
 *
 * Throws `EventLogError` (`NOT_RESTORABLE`).
 */
export async function restore(
  events: Pick<EventStore, 'append' | 'readStream'>,
  gun: Gun,
  restoration: Restoration,
): Promise<RecordedEvent> {
  let repository = emptyRepository(gun);
  for (;;) {
    repository = await upToDate(events, repository);
    try {
      return await events.append(
        repository.head,
        restoreRepository(repository, restoration),
        [], // all of its files are in the log
      );
    } catch (error) {
      if (!(error instanceof WrongExpectedVersion)) throw error;
    }
  }
}

async function upToDate(
  events: Pick<EventStore, 'readStream'>,
  known: Repository,
): Promise<Repository> {
  let repository = known;
  for (;;) {
    const page = await events.readStream(known.head.gun, repository.head.version, PAGE);
    if (page.length > 0) repository = evolveAll(repository, page);
    if (page.length < PAGE) return repository;
  }
}
