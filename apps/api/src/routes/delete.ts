import type { Cause } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';
import { answer } from '../answer.ts';
import type { Handler } from './route.ts';

/** `DELETE …/_trust/tuf/`: 200 for anything, whether it was there or not (WIRE §10). */
export function deleteTuf(
  deleteRepository: (gun: Gun, cause: Cause) => Promise<void>,
): Handler<'DeleteTUF'> {
  return async ({ gun }, { res, cause }) => {
    await deleteRepository(gun, cause);
    res.locals.log.info(`trust data deleted for ${gun}`);
    answer(res, 200, {});
  };
}
