import type { RepositoryEvent } from '../repository-events.ts';

/** Some more of the statement that adds an event: common table expressions beside `head` and `appended`. */
export interface Ride {
  /** Tells statements apart, which each connection prepares once. */
  readonly name: string;
  /**
   * The expressions, of which the last is `ridden` with at most one row and a boolean column `live`.
   * `head.position` is that of the event; their first parameter is `$first`.
   */
  sql(first: number): string;
  /** Of the select that follows: what is to be notified where `ridden` has a row. */
  readonly notify: string;
  readonly values: readonly unknown[];
  /** The event is there, at that position. `live`: as `ridden` says; undefined where it has no row. */
  arrived(position: number, live: boolean | undefined): void;
  /** Nothing of it is there, for the database refused to write this. The event was added without it. */
  refused(): void;
}

/**
 * Whoever keeps something in the same database that follows from the log, and may write it in the
 * statement that adds a lone event: one round trip and one commit for both. Must not lock anything that
 * others wait for, nor wait for anything.
 */
export interface Rider {
  /** Undefined where it had rather not, or cannot without a look at the database. */
  board(event: RepositoryEvent): Ride | undefined;
}
