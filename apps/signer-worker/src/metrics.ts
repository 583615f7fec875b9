import { createRegistry, createRender } from '@scrivener/runtime/monitoring';
import { JOB_REFUSALS, type AnsweredJob, type JobRefusal } from '@scrivener/signing/bullmq';
import type { AnsweredCall } from '@scrivener/signing/grpc';
import { Counter, Histogram } from 'prom-client';

/** Upper bounds, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What a worker counts about its jobs. */
export interface WorkerMetrics {
  answered(job: AnsweredJob): void;
  /** A job that was not looked at: somebody else than our API put it into the queue, or altered it. */
  refused(reason: JobRefusal): void;
  /** A job that threw; it may be tried again. */
  failed(): void;
  /** A call over gRPC. */
  called(call: AnsweredCall): void;
  /** Everything in Prometheus' text format. */
  readonly render: () => Promise<string>;
}

export function createWorkerMetrics(): WorkerMetrics {
  const register = createRegistry();
  const registers = [register];
  const duration = new Histogram({
    name: 'scrivener_job_duration_seconds',
    help: 'From taking a job to its answer.',
    labelNames: ['job', 'outcome'],
    buckets: BUCKETS,
    registers,
  });
  const refused = new Counter({
    name: 'scrivener_jobs_refused_total',
    help: 'Jobs that were not looked at, by what was wrong with them.',
    labelNames: ['reason'],
    registers,
  });
  // From the start, so that an alarm can be raised by the first one.
  for (const reason of JOB_REFUSALS) refused.inc({ reason }, 0);
  const failed = new Counter({
    name: 'scrivener_jobs_failed_total',
    help: 'Attempts at jobs that failed, for want of the database or in error.',
    registers,
  });
  const calls = new Histogram({
    name: 'scrivener_grpc_call_duration_seconds',
    help: 'From a call of a Notary Server to its answer.',
    labelNames: ['call', 'code'],
    buckets: BUCKETS,
    registers,
  });
  return {
    answered: ({ name, outcome, milliseconds }) => {
      duration.observe({ job: name, outcome: outcome.toLowerCase() }, milliseconds / 1000);
    },
    refused: (reason) => refused.inc({ reason }),
    failed: () => failed.inc(),
    called: ({ name, code, milliseconds }) => {
      calls.observe({ call: name, code }, milliseconds / 1000);
    },
    render: createRender(register, []),
  };
}
