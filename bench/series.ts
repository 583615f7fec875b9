/** The side that is measured only to be compared with: what fails there is told, and judges nobody. */
export const OLD_SERVER = 'old server';

/** One run of one side. */
export interface Sample {
  /** Those that succeeded. */
  readonly operations: number;
  readonly seconds: number;
  readonly failed: number;
  /** What the first failure was. */
  readonly problem?: string;
  /** Milliseconds; absent where single operations are not timed. */
  readonly p50?: number;
  readonly p99?: number;
  /** Operations that cost CPU, those of the warm-up included; `operations` where absent. */
  readonly served?: number;
  /** CPU per operation that a program measured by itself, in microseconds. */
  readonly ownCpu?: Readonly<Record<string, number>>;
}

/** The same figure of several runs. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What a program used in the runs of a side. */
export interface Share {
  /** Per operation, in microseconds. */
  readonly cpu: Spread;
  /** At the end of a run, in bytes. */
  readonly memory: Spread;
  /** The same, run by run: does it grow? */
  readonly memoryByRun: readonly number[];
}

/** All runs of one side at one piece of work. */
export interface Series {
  /** `reads`, `publish`, … */
  readonly bench: string;
  /** What was done: `timestamp.json`, `c16, 10 targets`. */
  readonly work: string;
  /** Who did it. */
  readonly side: string;
  /** Operations per second. */
  readonly rate: Spread;
  readonly p50?: Spread;
  readonly p99?: Spread;
  readonly failed: number;
  readonly problem?: string;
  readonly programs: Readonly<Record<string, Share>>;
  /** For the side that is a limit: nobody on this machine does the same faster in this way. */
  readonly isLimit: boolean;
}

export interface Report {
  readonly format: 1;
  /** RFC 3339. */
  readonly at: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly runs: number;
  readonly seconds: number;
  readonly series: readonly Series[];
  /** Single figures, by name: start-up, delays, sizes. */
  readonly figures: readonly Figure[];
}

export interface Figure {
  readonly bench: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  const lower = sorted[sorted.length - 1 - middle] ?? 0;
  return { median: (upper + lower) / 2, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}
