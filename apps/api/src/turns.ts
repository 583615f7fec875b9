import type { Gun } from '@scrivener/tuf';

/**
 * Runs what is asked for one GUN after the other; different GUNs do not wait for each other. `work` is
 * told whether it had to wait, so that somebody else may have been faster.
 */
export type Turns = <Result>(
  gun: Gun,
  signal: AbortSignal,
  work: (waited: boolean) => Promise<Result>,
) => Promise<Result>;

/**
 * Writers of one repository take turns within a process. Without it every loser of a race would
 * verify and sign first and learn only from the log that it lost; in turn it sees the winner's
 * version before that work. Other processes are still met at the log's expected version.
 *
 * Work whose `signal` is aborted before its turn comes is not started.
 */
export function createTurns(): Turns {
  const last = new Map<Gun, Promise<unknown>>();

  return (gun, signal, work) => {
    const before = last.get(gun);
    const turn = (before ?? Promise.resolve()).then(() => {
      signal.throwIfAborted();
      return work(before !== undefined);
    });
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    last.set(gun, settled);
    void settled.finally(() => {
      if (last.get(gun) === settled) last.delete(gun);
    });
    return turn;
  };
}
