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
import { Counter, Gauge, type Registry } from 'prom-client';
import { describeFinding, FINDING_KINDS } from './fsck/finding.ts';
import type { Outcome } from './fsck/scheduled.ts';

/** What a projector shows of its work. */
export interface Monitoring extends Monitor {
  /** From now on this is what is looked at. */
  watch(readModel: Pick<ReadModel, 'lag'>): void;
  projected(batch: ProjectedBatch): void;
  failed(error: unknown): void;
  /** A run of fsck came to an end. */
  checked(outcome: Outcome): void;
  /** A run of fsck could not find out. */
  notChecked(error: unknown): void;
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
  let fsckMetrics: ReturnType<typeof createFsckMetrics> | undefined;
  // not before a run has ended: a 0 would say that nothing was found
  const fsck = () => (fsckMetrics ??= createFsckMetrics(registers));
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
    checked: (outcome) => {
      fsck().checked(outcome);
      tellOutcome(logger, outcome);
    },
    notChecked: (err) => {
      fsck().failures.inc();
      logger.error({ err }, 'fsck could not find out whether the log is what was written');
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

function createFsckMetrics(registers: Registry[]) {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  const findings = new Gauge({
    name: 'scrivener_fsck_findings',
    help: 'What the last run of fsck found.',
    labelNames: ['kind'],
    registers,
  });
  const events = gauge('scrivener_fsck_events', 'Events that the last run of fsck looked at.');
  const duration = gauge('scrivener_fsck_duration_seconds', 'What the last run of fsck took.');
  const ended = gauge(
    'scrivener_fsck_last_run_timestamp_seconds',
    'When a run of fsck last came to an end.',
  );
  const failures = new Counter({
    name: 'scrivener_fsck_failures_total',
    help: 'Runs of fsck that could not find out.',
    registers,
  });
  return {
    failures,
    checked(outcome: Outcome) {
      for (const kind of FINDING_KINDS) {
        const found = outcome.findings.filter((finding) => finding.kind === kind);
        findings.set({ kind }, found.length);
      }
      events.set(outcome.events);
      duration.set(outcome.seconds);
      ended.setToCurrentTime();
    },
  };
}

/** Findings that the log names; the command names them all. */
const NAMED = 20;

/** The head is a record of its own, where logs go to another machine: fsck --head takes it. */
function tellOutcome(logger: Logger, { events, seconds, findings, head }: Outcome): void {
  for (const finding of findings.slice(0, NAMED)) {
    logger.error({ ...finding }, `fsck: ${describeFinding(finding)}`);
  }
  const told = { events, seconds, findings: findings.length };
  const message = findings.length === 0 ? 'fsck: nothing is wrong' : 'fsck: something is wrong';
  logger[findings.length === 0 ? 'info' : 'error'](
    { ...told, ...(head && { head: `${head.position}:${head.digest}` }) },
    message,
  );
}
