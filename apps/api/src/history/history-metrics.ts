import { Counter, Gauge, type Registry } from 'prom-client';
import type { Turnstile } from '../admission/turnstile.ts';

/** Differences and pictures: how many are made, wait, and were turned away. */
export function historyMetrics(
  register: Registry,
  turnstile: Pick<Turnstile, 'working' | 'waiting' | 'turnedAway'>,
): void {
  const registers = [register];
  const gauge = (name: string, help: string, of: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(of());
      },
    });
  gauge('scrivener_history', 'Differences and pictures that are being made.', turnstile.working);
  gauge(
    'scrivener_history_waiting',
    'Differences and pictures that wait for a place.',
    turnstile.waiting,
  );
  const shed: Counter = new Counter({
    name: 'scrivener_history_shed_total',
    help: 'Differences and pictures that were turned away because there were too many.',
    registers,
    collect() {
      shed.reset();
      shed.inc(turnstile.turnedAway());
    },
  });
}
