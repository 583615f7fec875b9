import type { Gun } from '@scrivener/tuf';

/** Runs what is asked for one GUN after the other; different GUNs do not wait for each other. */
export type Turns = <Result>(
  gun: Gun,
  signal: AbortSignal,
  work: () => Promise<Result>,
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
    const before = last.get(gun) ?? Promise.resolve();
    const turn = before.then(() => {
      signal.throwIfAborted();
      return work();
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
