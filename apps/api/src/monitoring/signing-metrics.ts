import { isDatabaseTrouble } from '@scrivener/runtime';
import type { MetricSource } from '@scrivener/runtime/monitoring';
import { SigningError, type Signer } from '@scrivener/signing';
import type { QueueDepth, QueueSigner } from '@scrivener/signing/bullmq';
import { TufError } from '@scrivener/tuf';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { Unavailable } from '../errors.ts';
import type { Metrics } from './metrics.ts';

/** Upper bounds of the histogram of sign jobs, in seconds: from this process to a worker that hangs. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** `signer` as it was, with each question to it timed. */
export function timedSigner(signer: Signer, register: Registry): Signer {
  const duration = new Histogram({
    name: 'scrivener_sign_job_duration_seconds',
    help: 'From a question to the signer until its answer, as the API sees it.',
    labelNames: ['job', 'outcome'],
    buckets: BUCKETS,
    registers: [register],
  });
  const timed = async <Answer>(job: string, ask: () => Promise<Answer>): Promise<Answer> => {
    const stop = duration.startTimer({ job });
    try {
      const answer = await ask();
      stop({ outcome: 'signed' });
      return answer;
    } catch (error) {
      stop({ outcome: signingOutcome(error) });
      throw error;
    }
  };
  return {
    createKey: (request) => timed('create-key', () => signer.createKey(request)),
    sign: (request) => timed('sign', () => signer.sign(request)),
    close: () => signer.close(),
  };
}

function signingOutcome(error: unknown): string {
  if (!(error instanceof SigningError)) return 'failed';
  return error.code === 'UNAVAILABLE' ? 'unavailable' : 'refused';
}

/** See `Metrics`. */
export function countPublishes(register: Registry): Metrics['countPublishes'] {
  const outcomes = new Counter({
    name: 'scrivener_publishes_total',
    help: 'Updates that were well-formed, by what became of them.',
    labelNames: ['outcome'],
    registers: [register],
  });
  // From the start, so that a rate can be taken of what has not happened yet.
  for (const outcome of OUTCOMES) outcomes.inc({ outcome }, 0);
  return (publish) => async (command) => {
    try {
      const result = await publish(command);
      outcomes.inc({ outcome: 'published' });
      return result;
    } catch (error) {
      outcomes.inc({ outcome: publishOutcome(error) });
      throw error;
    }
  };
}

/**
 * `overtaken`: its version was there already, from a faster publisher or an earlier try; `refused`:
 * against the rules; `unavailable`: a store or a signer did not answer in time.
 */
const OUTCOMES = ['published', 'overtaken', 'refused', 'unavailable', 'failed'] as const;

function publishOutcome(error: unknown): (typeof OUTCOMES)[number] {
  if (error instanceof TufError) return error.code === 'OLD_VERSION' ? 'overtaken' : 'refused';
  if (error instanceof Unavailable || isDatabaseTrouble(error)) return 'unavailable';
  if (error instanceof SigningError && error.code === 'UNAVAILABLE') return 'unavailable';
  return 'failed';
}

const STATES = ['waiting', 'active', 'delayed', 'failed'] as const satisfies (keyof QueueDepth)[];

/** How much waits in the queue, and for how many. */
export function queueGauges(
  register: Registry,
  queue: Pick<QueueSigner, 'depth' | 'health'>,
): MetricSource {
  const registers = [register];
  const jobs = new Gauge({
    name: 'scrivener_queue_jobs',
    help: 'Jobs in the queue by state.',
    labelNames: ['state'],
    registers,
  });
  const workers = new Gauge({
    name: 'scrivener_queue_workers',
    help: 'Signer workers that are connected to the queue.',
    registers,
  });
  return {
    name: 'queue',
    async collect() {
      const [depth, health] = await Promise.all([queue.depth(), queue.health()]);
      for (const state of STATES) jobs.set({ state }, depth[state]);
      workers.set(health.workers);
    },
    forget() {
      jobs.reset();
      workers.remove();
    },
  };
}
