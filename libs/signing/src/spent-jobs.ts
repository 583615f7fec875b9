/** More than one worker can do while a job lives; some 20 MB. */
const MOST = 100_000;

/**
 * The jobs that this process has answered and whose time is not over: whoever puts one back into
 * the queue wants an answer that was given already. Other processes have memories of their own.
 * Full, it forgets the oldest, which is then bounded by its expiry alone.
 */
export class SpentJobs {
  readonly #expires = new Map<string, number>();
  readonly #most: number;

  constructor(most = MOST) {
    this.#most = most;
  }

  add(seal: string, expires: number, now: number): void {
    this.#forget(now);
    this.#expires.set(seal, expires);
  }

  has(seal: string): boolean {
    return this.#expires.has(seal);
  }

  /** From the oldest on; lives differ by seconds, so few stay longer than they have to. */
  #forget(now: number): void {
    for (const [seal, expires] of this.#expires) {
      if (expires >= now && this.#expires.size < this.#most) return;
      this.#expires.delete(seal);
    }
  }
}
