import type { Sample } from './series.ts';

/** Each of these again and again, one at a time, all of them at once, for so many milliseconds. */
export async function timed(
  operations: readonly (() => Promise<void>)[],
  ms: number,
): Promise<Sample> {
  const durations: number[] = [];
  const began = performance.now();
  await Promise.all(
    operations.map(async (operate) => {
      while (performance.now() < began + ms) {
        const start = performance.now();
        await operate();
        durations.push(performance.now() - start);
      }
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  durations.sort((a, b) => a - b);
  return {
    operations: durations.length,
    seconds,
    failed: 0,
    p50: quantile(durations, 0.5),
    p99: quantile(durations, 0.99),
  };
}

/** Of numbers in ascending order; 0 where there are none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
