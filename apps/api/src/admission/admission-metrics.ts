import { Counter, Gauge, type Registry } from 'prom-client';
import type { Admission, AdmissionFigures } from './admission.ts';

/** What is in hand, and what was turned away. */
export function admissionMetrics(register: Registry, admission: Pick<Admission, 'figures'>): void {
  const registers = [register];
  const gauge = (name: string, help: string, of: (figures: AdmissionFigures) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(of(admission.figures()));
      },
    });
  gauge('scrivener_uploads', 'Uploads that are being received.', ({ uploads }) => uploads);
  gauge(
    'scrivener_uploads_bytes',
    'Bytes of uploads in hand, beyond the first 64 KiB of each.',
    ({ uploadsBytes }) => uploadsBytes,
  );
  gauge('scrivener_changes', 'Changes that are being worked on.', ({ changes }) => changes);
  gauge('scrivener_changes_waiting', 'Changes that wait for a place.', ({ waiting }) => waiting);
  const shed: Counter<'what'> = new Counter({
    name: 'scrivener_shed_total',
    help: 'What was turned away because there was too much of it.',
    labelNames: ['what'],
    registers,
    collect() {
      shed.reset();
      for (const [what, times] of Object.entries(admission.figures().shed)) {
        shed.inc({ what }, times);
      }
    },
  });
}
