import { Gauge, type Registry } from 'prom-client';
import type { MetricSource } from './registry.ts';

/** How far a projection is behind its log, as a read model tells it. */
interface Lag {
  readonly position: number;
  readonly checkpoint: number;
  readonly behindMs: number;
}

/** The figures of log and projection; API and projector both have them. */
export function projectionGauges(register: Registry, lag: () => Promise<Lag>): MetricSource {
  const registers = [register];
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  const position = gauge('scrivener_log_position', 'Position of the last event of the log.');
  const checkpoint = gauge(
    'scrivener_projection_position',
    'Position of the last event projected.',
  );
  const events = gauge('scrivener_projection_lag_events', 'Events that are not projected yet.');
  const seconds = gauge(
    'scrivener_projection_lag_seconds',
    'Age of the oldest event that is not projected; 0 where there is none.',
  );
  return {
    name: 'database',
    async collect() {
      const found = await lag();
      position.set(found.position);
      checkpoint.set(found.checkpoint);
      events.set(Math.max(0, found.position - found.checkpoint));
      seconds.set(found.behindMs / 1000);
    },
    forget() {
      for (const gauge of [position, checkpoint, events, seconds]) gauge.remove();
    },
  };
}
