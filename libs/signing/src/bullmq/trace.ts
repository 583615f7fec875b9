import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Span,
} from '@opentelemetry/api';
import type { JobsOptions } from 'bullmq';

/*
 * Joins asker and worker in one trace. Where a job comes from is told beside it, in the place that
 * BullMQ keeps for that; it is not authenticated, and nothing but spans and logs depends on it.
 * BullMQ's own telemetry also makes spans of every look at an idle queue, which is why it stays off.
 */

const tracer = () => trace.getTracer('scrivener');

/** What a job has to carry so that its worker can go on in the same trace. */
export type Carried = Pick<JobsOptions, 'telemetry'>;

/**
 * Runs `ask` in a span that lasts from question to answer; nothing is carried where there is no trace.
 */
export function asking<Answer>(
  jobName: string,
  jobId: string,
  ask: (carried: Carried) => Promise<Answer>,
): Promise<Answer> {
  if (trace.getActiveSpan() === undefined) return ask({});
  const options = { kind: SpanKind.PRODUCER, attributes: { 'messaging.message.id': jobId } };
  return tracer().startActiveSpan(`ask ${jobName}`, options, (span) => {
    const carrier = {};
    propagation.inject(context.active(), carrier);
    return ending(span, () => ask({ telemetry: { metadata: JSON.stringify(carrier) } }));
  });
}

/** The part of a job that concerns its trace. */
interface TracedJob {
  readonly id?: string | undefined;
  readonly name: string;
  readonly opts: Carried;
}

/** Does a job in a span below the one of whoever asked; a broken or absent hint does no harm. */
export function answering<Answer>(job: TracedJob, work: () => Promise<Answer>): Promise<Answer> {
  const carrier = carrierOf(job.opts?.telemetry?.metadata);
  if (carrier === undefined) return work();
  const above = propagation.extract(ROOT_CONTEXT, carrier);
  const options = {
    kind: SpanKind.CONSUMER,
    attributes: { 'messaging.message.id': job.id ?? '' },
  };
  return tracer().startActiveSpan(`do ${job.name}`, options, above, (span) => ending(span, work));
}

function carrierOf(metadata: unknown): object | undefined {
  if (typeof metadata !== 'string' || metadata.length > 1_000) return undefined;
  try {
    const carrier: unknown = JSON.parse(metadata);
    return typeof carrier === 'object' && carrier !== null ? carrier : undefined;
  } catch {
    return undefined;
  }
}

async function ending<Answer>(span: Span, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    throw error;
  } finally {
    span.end();
  }
}
