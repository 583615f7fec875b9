import type { ProjectedBatch, ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import {
  createChecks,
  createRegistry,
  createRender,
  projectionGauges,
  type Monitor,
} from '@scrivener/runtime/monitoring';
import { fieldsOf, recordSpan } from '@scrivener/runtime/tracing';
import { Counter } from 'prom-client';

/** What a projector shows of its work. */
export interface Monitoring extends Monitor {
  /** From now on this is what is looked at. */
  watch(readModel: Pick<ReadModel, 'lag'>): void;
  projected(batch: ProjectedBatch): void;
  failed(error: unknown): void;
}

/** A batch of more events than that is a projection that catches up: one line of log says it all. */
const FEW = 50;

export function createMonitoring(logger: Logger): Monitoring {
  let readModel: Pick<ReadModel, 'lag'> | undefined;
  const lag = async () => {
    if (readModel === undefined) throw new Error('there was no database yet');
    return readModel.lag();
  };
  const register = createRegistry();
  const registers = [register];
  const projected = new Counter({
    name: 'scrivener_projected_events_total',
    help: 'Events that this process has projected.',
    registers,
  });
  const failures = new Counter({
    name: 'scrivener_projection_failures_total',
    help: 'Batches that failed, and are tried again.',
    registers,
  });
  return {
    health: createChecks({
      'DB operational': () => lag().then(() => undefined),
    }),
    metrics: createRender(register, [projectionGauges(register, lag)]),
    watch: (opened) => {
      readModel = opened;
    },
    projected: (batch) => {
      projected.inc(batch.events.length);
      tell(logger, batch);
    },
    failed: (err) => {
      failures.inc();
      logger.warn({ err }, 'cannot project, trying again');
    },
  };
}

/** Each event is a span in the trace of its request, and a line of log that names that trace. */
function tell(logger: Logger, { events, startedAt }: ProjectedBatch): void {
  for (const { position, event } of events) {
    const name = `project ${event.type}`;
    const attributes = { 'scrivener.position': position };
    recordSpan({ name, parent: event.cause, startedAt, attributes });
    if (events.length > FEW) continue;
    logger.info(
      {
        position,
        gun: event.gun,
        type: event.type,
        'http.request.id': event.cause.requestId,
        ...fieldsOf(event.cause),
      },
      'projected',
    );
  }
  if (events.length > FEW) {
    logger.info({ events: events.length, position: events.at(-1)?.position }, 'catching up');
  }
}
