import type { Gun } from '@scrivener/tuf';
import { getFile } from '../tuf-http.ts';
import { sha256 } from './verifier.ts';

/** A file that nobody changes while it is read. */
export interface Probed {
  readonly gun: Gun;
  /** As in `…/_trust/tuf/{name}`. */
  readonly name: string;
  readonly sha256: string;
}

/** What became of the reads of a probe. */
export interface Reads {
  readonly sent: number;
  /** Answered 200, with the right bytes. */
  readonly good: number;
  /** Other answers, and how often each came. */
  readonly others: ReadonlyMap<string, number>;
  /** In milliseconds, of all that were sent. */
  readonly medianMs: number;
  readonly slowestMs: number;
}

/** Reads one file after the other, from one API after the other. */
export interface ReadProbe {
  /** No more are sent; resolves when all are answered. */
  stop(): Promise<Reads>;
}

/**
 * Sends a read every so many milliseconds whether or not the ones before were answered: one that waits
 * for answers would ask less the worse it gets.
 */
export function startReadProbe(
  urls: readonly string[],
  files: readonly Probed[],
  everyMs: number,
): ReadProbe {
  const others = new Map<string, number>();
  const times: number[] = [];
  const reads: Promise<void>[] = [];
  const read = async (url: string, file: Probed) => {
    const startedAt = performance.now();
    const told = await getFile(url, file.gun, file.name).then(
      ({ status, code = '', body }) =>
        status === 200 && sha256(body) !== file.sha256 ? 'other bytes' : `${status} ${code}`.trim(),
      (error: unknown) => `broken: ${error instanceof Error ? error.message : String(error)}`,
    );
    times.push(performance.now() - startedAt);
    if (told !== '200') others.set(told, (others.get(told) ?? 0) + 1);
  };
  const timer = setInterval(() => {
    const file = files[reads.length % files.length];
    // Every file comes to every API, also where their numbers have a common divisor.
    const url = urls[Math.floor(reads.length / files.length) % urls.length];
    if (file !== undefined && url !== undefined) reads.push(read(url, file));
  }, everyMs);

  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(reads);
      const bad = [...others.values()].reduce((sum, count) => sum + count, 0);
      const sorted = times.toSorted((a, b) => a - b);
      return {
        sent: reads.length,
        good: reads.length - bad,
        others,
        medianMs: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
        slowestMs: Math.round(sorted.at(-1) ?? 0),
      };
    },
  };
}

/** Every file that a client downloads of the present state of a repository, by its name for ever and its name for now. */
export async function filesOf(url: string, gun: Gun): Promise<Probed[]> {
  const files: Probed[] = [];
  for (const role of ['timestamp', 'snapshot', 'root', 'targets']) {
    const { status, body } = await getFile(url, gun, `${role}.json`);
    if (status !== 200) throw new Error(`${role}.json of ${gun}: ${status}`);
    const checksum = sha256(body);
    files.push(
      { gun, name: `${role}.json`, sha256: checksum },
      { gun, name: `${role}.${checksum}.json`, sha256: checksum },
    );
  }
  return files;
}

/** One line of a report. */
export function toldOf({ sent, good, others, medianMs, slowestMs }: Reads): string {
  const bad = [...others].map(([text, count]) => `, ${count} × ${text}`).join('');
  return `${sent} reads at a fixed rate: ${good} × 200${bad}; median ${medianMs} ms, slowest ${slowestMs} ms`;
}
