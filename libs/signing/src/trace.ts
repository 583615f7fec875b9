import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Span,
} from '@opentelemetry/api';

/*
 * Joins whoever asks a signer and whoever signs in one trace. What is said about it travels beside
 * the question; nobody vouches for it, and nothing but spans and logs depends on it.
 */

/** Where in which trace a question was put, by names of its own; empty where there is no trace. */
export type Carrier = Readonly<Record<string, string>>;

const tracer = () => trace.getTracer('scrivener');

/** Runs `ask` in a span that lasts from question to answer, if it belongs to a trace at all. */
export function asking<Answer>(
  what: string,
  attributes: Attributes,
  ask: (carrier: Carrier) => Promise<Answer>,
): Promise<Answer> {
  if (trace.getActiveSpan() === undefined) return ask({});
  const options = { kind: SpanKind.PRODUCER, attributes };
  return tracer().startActiveSpan(`ask ${what}`, options, (span) => {
    const carrier: Record<string, string> = {};
    propagation.inject(context.active(), carrier);
    return ending(span, () => ask(carrier));
  });
}

/** Does the work in a span below the one of whoever asked; a broken carrier does no harm. */
export function answering<Answer>(
  what: string,
  attributes: Attributes,
  carrier: Carrier,
  work: () => Promise<Answer>,
): Promise<Answer> {
  const above = propagation.extract(ROOT_CONTEXT, carrier);
  if (trace.getSpanContext(above) === undefined) return work();
  const options = { kind: SpanKind.CONSUMER, attributes };
  return tracer().startActiveSpan(`do ${what}`, options, above, (span) => ending(span, work));
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
