import type { Gun } from '@scrivener/tuf';

/** What a process remembers of a read model. Forgetting includes what is being read at that moment. */
export interface Memory {
  /** By the repositories to which something happened, the position of the last such event. */
  forget(changed: ReadonlyMap<Gun, number>): void;
  forgetAll(): void;
}

/** A process that answers from memory. */
export interface Reader {
  /**
   * Whether it may now. What was remembered while it might is right for as long as it may: `Memory` is
   * told what to forget. Must be asked for each answer, and before each reading that is to be
   * remembered; never again for what was read before.
   */
  mayAnswer(): boolean;
}

/**
 * Everybody who answers from memory, so that writers can wait for them: after the answer to a publish,
 * a deletion or a renewal nobody serves what was there before (ADR 0019).
 */
export interface Readers {
  /** For each thing in a process that remembers. It takes a moment until the first reader may answer. */
  join(memory: Memory): Reader;
  /**
   * Resolves when the projection has reached `position` and no reader serves anything older. A reader
   * that does not move holds this up for about 2 s, then it is put out. Also resolves, without any
   * promise, once `signal` is aborted; rejects where the database is away.
   */
  seen(position: number, signal: AbortSignal): Promise<void>;
}
