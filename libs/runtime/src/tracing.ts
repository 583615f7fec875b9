import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
} from '@opentelemetry/api';

/** A place in a trace, which can be written down and gone on from later, in another process. */
export interface TracePoint {
  /** 32 hex digits. */
  readonly traceId: string;
  /** The span that others hang below, 16 hex digits; absent where the trace is not recorded. */
  readonly spanId?: string;
}

const tracer = () => trace.getTracer('scrivener');

/** Where we are now; nothing in it outside of any trace, and always while traces are off. */
export function tracePoint(): Partial<TracePoint> {
  const here = trace.getActiveSpan()?.spanContext();
  if (here === undefined || !trace.isSpanContextValid(here)) return {};
  const isRecorded = (here.traceFlags & TraceFlags.SAMPLED) !== 0;
  return { traceId: here.traceId, ...(isRecorded && { spanId: here.spanId }) };
}

/** The same for a line of log. */
export function traceFields(): { readonly trace_id?: string; readonly span_id?: string } {
  return fieldsOf(tracePoint());
}

/** A place in a trace as the fields of a line of log. */
export function fieldsOf({ traceId, spanId }: Partial<TracePoint>) {
  return {
    ...(traceId !== undefined && { trace_id: traceId }),
    ...(spanId !== undefined && { span_id: spanId }),
  };
}

/** Runs `work` in a span below the present one, if there is one; it ends and fails with the work. */
export function inSpan<Result>(
  name: string,
  attributes: Attributes,
  work: () => Promise<Result>,
): Promise<Result> {
  return trace.getActiveSpan() === undefined ? work() : beginSpan(name, attributes, work);
}

/** The same, and the beginning of a new trace where there is none. */
export function beginSpan<Result>(
  name: string,
  attributes: Attributes,
  work: () => Promise<Result>,
): Promise<Result> {
  return tracer().startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

export interface DoneWork {
  readonly name: string;
  /** What it was done for; nothing is recorded where that was in no trace. */
  readonly parent: Partial<TracePoint>;
  readonly startedAt: Date;
  readonly attributes?: Attributes;
}

/** A span, from `startedAt` until now, for what was done on behalf of a trace that was written down. */
export function recordSpan({ name, parent, startedAt, attributes = {} }: DoneWork): void {
  const { traceId, spanId } = parent;
  if (traceId === undefined || spanId === undefined) return;
  const above = trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
  });
  const options = { kind: SpanKind.CONSUMER, startTime: startedAt, attributes };
  tracer().startSpan(name, options, above).end();
}

/** Says what the request turned out to be, for which the present span was begun. */
export function nameRequest(method: string, operation: string): void {
  const span = trace.getActiveSpan();
  span?.updateName(`${method} ${operation}`);
  span?.setAttribute('scrivener.operation', operation);
}

/** `work` as somebody else calls it later, in the trace that we are in now. */
export function inThisTrace<Work>(work: Work): Work {
  return context.bind(context.active(), work);
}

/** How long a process that ends waits for its last spans to leave, in milliseconds. */
const FLUSH_LIMIT = 1_000;

let flush: (() => Promise<void>) | undefined;

/** For whoever starts the traces. */
export function flushesWith(work: () => Promise<void>): void {
  flush = work;
}

/** Whether spans of this process go anywhere. */
export function hasTraces(): boolean {
  return flush !== undefined;
}

/** Sends what has not been sent yet; resolves within a second, whatever happens. */
export async function flushTraces(): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_LIMIT);
  });
  await Promise.race([flush?.().catch(() => {}), late]);
  clearTimeout(timer);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
