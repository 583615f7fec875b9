import type { ProjectedBatch } from '@scrivener/read-model';
import { recordSpan } from '@scrivener/runtime/tracing';

/** A span for each event that this process projected itself, in the trace of its request. */
export function traceProjected({ events, startedAt }: ProjectedBatch): void {
  for (const { position, event } of events) {
    recordSpan({
      name: `project ${event.type}`,
      parent: event.cause,
      startedAt,
      attributes: { 'scrivener.position': position },
    });
  }
}
