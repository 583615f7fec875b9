import { deleteRepository, type Cause } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';
import type { Writer } from './writer.ts';

/** Takes all metadata of a GUN off the wire; its history and its keys stay (WIRE §10). */
export function createDelete(
  writer: Writer,
  now: () => Date,
): (gun: Gun, cause: Cause) => Promise<void> {
  return async (gun, cause) => {
    await writer.write(gun, (repository) => {
      const event = deleteRepository(repository, { at: now().toISOString(), cause });
      return event && { event };
    });
  };
}
