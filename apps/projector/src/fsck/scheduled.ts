import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { findingSchema } from './finding.ts';
import { headSchema, type RecordedHead } from './log-order.ts';

/** What a projector tells of a run. */
const outcome = z.object({
  /** Missing where the log is empty. */
  head: headSchema.optional().catch(undefined),
  events: z.number(),
  seconds: z.number(),
  findings: z.array(findingSchema),
});

export type Outcome = z.output<typeof outcome>;

export interface ScheduleOptions {
  readonly databaseUrl: string;
  /** Between the end of a run and the next one, and before the first; in milliseconds. */
  readonly first: number;
  readonly every: number;
  /** Ends the loop, and a run in hand. */
  readonly signal: AbortSignal;
  readonly onOutcome: (outcome: Outcome) => void;
  /** A run could not find out: the next one may. */
  readonly onError: (error: unknown) => void;
}

/**
 * Runs fsck again and again, in a process of its own at the lowest priority: a projector has better
 * things to do. Each run holds the log against the head that the one before it found. Never rejects.
 */
export async function runScheduledFsck(options: ScheduleOptions): Promise<void> {
  const { first, every, signal, onOutcome, onError } = options;
  let head: RecordedHead | undefined;
  for (let pause = first; ; pause = every) {
    await sleep(pause, undefined, { signal }).catch(() => {}); // rejects when aborted
    if (signal.aborted) return;
    try {
      const found = await runFsck(options, head);
      head = found.head ?? head;
      onOutcome(found);
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  }
}

async function runFsck(
  { databaseUrl, signal }: ScheduleOptions,
  head: RecordedHead | undefined,
): Promise<Outcome> {
  const expected = head === undefined ? [] : ['--head', `${head.position}:${head.digest}`];
  const words = ['--json', '-', '--quiet', '--background', '--threads', '1', ...expected];
  const child = spawn(process.execPath, [join(import.meta.dirname, '../fsck.ts'), ...words], {
    // not on the command line, which everybody on the machine may read
    env: { ...process.env, NOTARY_SERVER_STORAGE_DB_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const [code, report, complaint] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  // 1 says that there are findings
  if (code !== 0 && code !== 1) throw new Error(`fsck ended with ${code}: ${complaint.trim()}`);
  return outcome.parse(JSON.parse(report));
}
