import { setTimeout as sleep } from 'node:timers/promises';
import {
  WrongExpectedVersion,
  type AppendOptions,
  type RecordedEvent,
  type Repository,
  type RepositoryEvent,
} from '@scrivener/events';
import type { ReadModel } from '@scrivener/read-model';
import { isDatabaseTrouble } from '@scrivener/runtime';
import { inSpan } from '@scrivener/runtime/tracing';
import type { Gun, Metafile } from '@scrivener/tuf';
import { withDeadline } from './deadline.ts';
import type { Repositories } from './repositories.ts';
import { createTurns } from './turns.ts';

/** How long a projector is given before this process projects itself, in milliseconds. */
const PATIENCE = 300;

/** How long events in front of one that is projected here are given, in milliseconds. */
const BEHIND = 2;

/** Between two attempts to append while the database is away, in milliseconds. */
const RETRY_PAUSE = 100;

/** What a decision adds to the log; `undefined` where there is nothing to add. */
interface Addition {
  readonly event: RepositoryEvent;
  /** The metafiles that the event names and the log may not hold yet. */
  readonly metafiles?: readonly Metafile[];
}

/**
 * Decides on a repository as it stands. Called again with the newer state when another writer was
 * faster. `raced`: since this was asked for, others wrote or at least tried to. Must start nothing that
 * lasts: a decision may be thrown away.
 */
export type Decide = (
  repository: Repository,
  raced: boolean,
) => Promise<Addition | undefined> | Addition | undefined;

/** How every change gets into the log. */
export interface Writer {
  /**
   * Decides and appends until the decision met the state it was made on, then waits until
   * every API can read it. Throws what `decide` throws, and `Unavailable` after `timeoutMs`.
   *
   * Nothing is left behind unless the append itself went through; from then on the event is true,
   * and only the wait for its projection can still run out of time. Resolves to what was added;
   * where that is nothing, it waits all the same, for what the decision was made on may be an event
   * whose answer got lost.
   */
  write(gun: Gun, decide: Decide): Promise<RecordedEvent | undefined>;
  /**
   * The same without the wait, for what nobody reads but from the log: every API knows it as soon as
   * this resolves, for whoever decides or answers from the log reads it to its end.
   *
   * Decides first on what this process knows of the repository, which may be behind: only for what
   * must not be refused, and where nothing to add stays nothing to add. The append tells the rest.
   */
  record(gun: Gun, decide: Decide): Promise<RecordedEvent | undefined>;
}

interface Change {
  readonly gun: Gun;
  readonly decide: Decide;
  readonly signal: AbortSignal;
  /** Asked right before the append: whether it is going to be projected here. */
  readonly projects: () => boolean;
}

/** What came of a decision. `position` is that of the last event of its stream. */
interface Written {
  readonly recorded?: RecordedEvent;
  readonly position: number;
  readonly projects?: boolean;
}

export function createWriter(
  repositories: Repositories,
  readModel: Pick<ReadModel, 'project' | 'projectNext' | 'reached' | 'readers'>,
  timeoutMs: number,
): Writer {
  const inTurn = createTurns();

  /** `raced`: others wrote, or at least tried to, since this was asked for. */
  const append = async (change: Change, first: Repository, raced: boolean): Promise<Written> => {
    const addition = await change.decide(first, raced);
    if (addition === undefined) return { position: first.position };
    const written = await appendOnce(change, first, addition);
    return written ?? append(change, await repositories.load(change.gun), true);
  };

  /**
   * Decides on what this process knows, where it knows of nothing that it has not heard: then the log need
   * not be read first, for the append tells. But that nothing is to be added, and a refusal, are only said
   * of what was read.
   */
  const appendToEnd = async (change: Change, raced: boolean): Promise<Written> => {
    const { gun, decide } = change;
    const fresh = repositories.fresh(gun);
    if (fresh === undefined) return append(change, await repositories.load(gun), raced);
    const [decided] = await Promise.allSettled([(async () => decide(fresh, raced))()]);
    if (decided.status === 'fulfilled' && decided.value !== undefined) {
      const written = await appendOnce(change, fresh, decided.value);
      return written ?? append(change, await repositories.load(gun), true);
    }
    const read = await repositories.load(gun);
    if (read.head.version !== fresh.head.version) return append(change, read, raced);
    if (decided.status === 'rejected') throw decided.reason;
    return { position: read.position };
  };

  /** Undefined where it does not follow the last event of its stream. */
  const appendOnce = async (
    change: Change,
    repository: Repository,
    addition: Addition,
  ): Promise<Written | undefined> => {
    try {
      const options = { projects: change.projects() };
      const recorded = await appendSurely(repository, addition, options, change.signal);
      return { recorded, position: recorded.position, ...options };
    } catch (error) {
      if (error instanceof WrongExpectedVersion) return undefined;
      throw error;
    }
  };

  /**
   * Where the database goes away during an append, nobody knows whether the event is there. To append
   * it again on the same head is safe, and tells.
   */
  const appendSurely = async (
    repository: Repository,
    { event, metafiles }: Addition,
    options: AppendOptions,
    signal: AbortSignal,
  ) => {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await repositories.append(repository, event, metafiles, options);
      } catch (error) {
        if (!isDatabaseTrouble(error)) throw error;
        await sleep(RETRY_PAUSE);
      }
    }
  };

  /** Of many who are out of patience one projects, for all of them. */
  let projecting: Promise<unknown> | undefined;
  const project = (): Promise<unknown> => {
    projecting ??= readModel.project().finally(() => (projecting = undefined));
    return projecting;
  };

  /** Changes that are under way in this process, from their first look at the log to their answer. */
  let underWay = 0;
  /**
   * A lone change is projected here: a projector would have to hear of it first. Where several are
   * under way it serves them better, all at once.
   */
  const isAlone = () => underWay === 1;

  /** Nobody waits for this but for the projection, whoever does it; what fails here fails there, too. */
  const projectHere = async ({ recorded, projects = false }: Written): Promise<void> => {
    if (recorded === undefined || !projects) return;
    if (await readModel.projectNext([recorded])) return;
    // One of another process is in front of it, and most likely being projected just now.
    if (!(await readModel.reached(recorded.position, BEHIND))) await project();
  };

  const projected = async (written: Written, signal: AbortSignal) => {
    projectHere(written).catch(() => {});
    const { position } = written;
    while (!signal.aborted) {
      if (await readModel.reached(position, PATIENCE)) break;
      await project();
    }
    await readModel.readers.seen(position, signal);
  };

  return {
    record: (gun, decide) =>
      withDeadline(timeoutMs, async (signal) => {
        const change = { gun, decide, signal, projects: () => false };
        const { recorded } = await inTurn(gun, signal, (waited) =>
          append(change, repositories.known(gun), waited),
        );
        return recorded;
      }),

    write: (gun, decide) =>
      withDeadline(timeoutMs, async (signal) => {
        const change = { gun, decide, signal, projects: isAlone };
        underWay += 1;
        try {
          const written = await inTurn(gun, signal, (waited) => appendToEnd(change, waited));
          await inSpan('wait until projected', {}, () => projected(written, signal));
          return written.recorded;
        } finally {
          underWay -= 1;
        }
      }),
  };
}
