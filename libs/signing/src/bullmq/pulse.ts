import type { ProbeResult } from '../jobs.ts';

/**
 * - `answering`: a worker has answered lately, and reached its keys
 * - `silent`: none has, though some may be connected: they hang, or share no job key with us
 * - `keyless`: one has answered that it cannot reach its keys
 */
export type WorkerState = 'answering' | 'silent' | 'keyless';

/** How long an answer is taken for the present state, in milliseconds. */
const FRESH = 1_000;
/**
 * How long it still counts while the next one is waited for: a wake-up call that went to a worker
 * which died costs a second, and so does a busy machine. In milliseconds.
 */
const GRACE = 4_000;

/**
 * Whether somebody is there who works: being connected proves little, for a process that hangs
 * stays connected. A probe goes the way of every job and is only put while somebody looks, at most
 * once a second.
 */
export class Pulse {
  readonly #probe: () => Promise<ProbeResult>;
  #probing: Promise<void> | undefined;
  #beat = -Infinity;
  #reachesKeys = true;

  /** `probe` asks a worker, and rejects in time where none answers. */
  constructor(probe: () => Promise<ProbeResult>) {
    this.#probe = probe;
  }

  async state(): Promise<WorkerState> {
    if (this.#age() >= FRESH) {
      this.#probing ??= this.#look();
      if (this.#age() >= GRACE) await this.#probing;
    }
    if (this.#age() >= GRACE) return 'silent';
    return this.#reachesKeys ? 'answering' : 'keyless';
  }

  #age(): number {
    return performance.now() - this.#beat;
  }

  async #look(): Promise<void> {
    try {
      const { keys } = await this.#probe();
      this.#reachesKeys = keys;
      this.#beat = performance.now();
    } catch {
      // Silence is told by the age of the last beat.
    } finally {
      this.#probing = undefined;
    }
  }
}
