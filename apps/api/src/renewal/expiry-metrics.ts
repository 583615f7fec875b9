import type { Expiries } from '@scrivener/read-model';
import type { MetricSource } from '@scrivener/runtime/monitoring';
import { Counter, Gauge, type Registry } from 'prom-client';

/** By the schedule, or because somebody read what had expired. */
type Trigger = 'schedule' | 'read';

export type CountRenewal = (trigger: Trigger, outcome: 'renewed' | 'failed') => void;

export function renewalCounter(register: Registry): CountRenewal {
  const renewals = new Counter({
    name: 'scrivener_renewals_total',
    help: 'Renewals of what the server signs, by what asked for them and what became of them.',
    labelNames: ['outcome', 'trigger'],
    registers: [register],
  });
  for (const trigger of ['schedule', 'read']) {
    for (const outcome of ['renewed', 'failed']) renewals.inc({ outcome, trigger }, 0);
  }
  return (trigger, outcome) => renewals.inc({ outcome, trigger });
}

const WITHIN = [7, 30, 90];

/** What expires next, and how much. `now` is the clock by which the rest of the process renews. */
export function expiryGauges(
  register: Registry,
  expiries: Pick<Expiries, 'summary'>,
  now: () => Date,
): MetricSource {
  const registers = [register];
  const next = new Gauge({
    name: 'scrivener_next_expiry_seconds',
    help: 'Until the next expiry of what has not expired, by who made it; absent where there is none.',
    labelNames: ['made_by'],
    registers,
  });
  const expired = new Gauge({
    name: 'scrivener_expired_roles',
    help: 'What is current and has expired, by who made it.',
    labelNames: ['made_by'],
    registers,
  });
  const expiring = new Gauge({
    name: 'scrivener_expiring_roles',
    help: 'What clients have to renew, by when it will have expired.',
    labelNames: ['within'],
    registers,
  });
  const forget = () => {
    for (const gauge of [next, expired, expiring]) gauge.reset();
  };
  return {
    name: 'expiries',
    async collect() {
      const at = now();
      const summary = await expiries.summary(at, WITHIN);
      forget();
      for (const made_by of ['client', 'server'] as const) {
        const date = summary.next[made_by];
        if (date !== undefined) next.set({ made_by }, (date.getTime() - at.getTime()) / 1000);
        expired.set({ made_by }, summary.expired[made_by]);
      }
      for (const [days, count] of summary.within) expiring.set({ within: `${days}d` }, count);
    },
    forget,
  };
}
