import type { Logger } from '@scrivener/runtime';
import { JOB_REFUSALS, type JobRefusal } from '@scrivener/signing/bullmq';

/** How often the log speaks of refusals of one kind, in milliseconds: a thief must not fill a disk. */
const QUIET = 10_000;

/** How many jobs were not looked at, by reason. */
export type RefusedJobs = Readonly<Record<JobRefusal, number>>;

/** Counts the jobs that a worker refuses, and tells of them now and then, with all counts so far. */
export function countRefusedJobs(
  logger: Pick<Logger, 'warn'>,
  now: () => number = () => performance.now(),
): {
  readonly refused: RefusedJobs;
  readonly onRefused: (reason: JobRefusal, jobId: string) => void;
} {
  const refused = Object.fromEntries(JOB_REFUSALS.map((reason) => [reason, 0])) as Record<
    JobRefusal,
    number
  >;
  const told = new Map<JobRefusal, number>();
  return {
    refused,
    onRefused: (reason, jobId) => {
      refused[reason] += 1;
      if (now() - (told.get(reason) ?? Number.NEGATIVE_INFINITY) < QUIET) return;
      told.set(reason, now());
      logger.warn({ jobId: jobId.slice(0, 100), reason, refused: { ...refused } }, 'refused a job');
    },
  };
}
