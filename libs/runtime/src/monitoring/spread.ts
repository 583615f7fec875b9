/** Steps in which a value doubles: what is read from a spread is at most 1.1 % off. */
const STEPS = 32;

/** A spread as it is told to another process. */
export interface SpreadState {
  readonly counts: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/**
 * Values above zero with their count, sum and quantiles. To add one costs some nanoseconds, which is
 * why it is here: every download adds three.
 */
export class Spread {
  /** By the rounded logarithm of the value. */
  readonly #counts: number[] = [];
  #count = 0;
  #sum = 0;

  add(value: number): void {
    const step = Math.round(Math.log2(value + 1) * STEPS);
    while (this.#counts.length <= step) this.#counts.push(0);
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
    this.#count += 1;
    this.#sum += value;
  }

  /** Adds everything that another one has seen: the same as if this one had seen it. */
  merge({ counts, count, sum }: SpreadState): void {
    while (this.#counts.length < counts.length) this.#counts.push(0);
    for (const [step, more] of counts.entries()) {
      this.#counts[step] = (this.#counts[step] ?? 0) + more;
    }
    this.#count += count;
    this.#sum += sum;
  }

  get state(): SpreadState {
    return { counts: this.#counts, count: this.#count, sum: this.#sum };
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  /** The least value that is not below this part of all; 0 where there are none. */
  quantile(part: number): number {
    let rest = part * this.#count;
    for (const [step, count] of this.#counts.entries()) {
      rest -= count;
      if (count > 0 && rest <= 0) return 2 ** (step / STEPS) - 1;
    }
    return 0;
  }
}
