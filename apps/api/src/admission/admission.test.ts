import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { createAdmission, FREE_BYTES, Overloaded, type AdmissionLimits } from './admission.ts';
import { admissionMetrics } from './admission-metrics.ts';

const limits: AdmissionLimits = {
  uploads: 2,
  uploadsBytes: 1_000,
  changes: 2,
  waiting: 1,
  waitMs: 20,
};

describe('uploads', () => {
  test('are let in up to their number, and again when one has left', () => {
    const admission = createAdmission(limits);
    const first = admission.receive(10);
    admission.receive(undefined);

    expect(() => admission.receive(10)).toThrow(Overloaded);
    first.leave();
    first.leave();
    admission.receive(10);
    expect(() => admission.receive(10)).toThrow(Overloaded);
  });

  test('are turned away by their announced length while others hold too much', () => {
    const admission = createAdmission(limits);
    const big = admission.receive(undefined);
    big.received(FREE_BYTES + 600);

    expect(() => admission.receive(FREE_BYTES + 401)).toThrow(Overloaded);
    admission.receive(FREE_BYTES + 400);
  });

  test('of a usual length pass, whatever others hold', () => {
    const admission = createAdmission(limits);
    admission.receive(undefined).received(FREE_BYTES + 1_000);
    const small = admission.receive(FREE_BYTES);

    small.received(FREE_BYTES);
    expect(() => small.received(1)).toThrow(Overloaded);
  });

  test('may be as long as they like when they are alone', () => {
    const admission = createAdmission(limits);
    const huge = admission.receive(1_000_000);
    huge.received(1_000_000);
    huge.received(1_000_000);
    huge.leave();

    expect(admission.figures()).toMatchObject({ uploads: 0, uploadsBytes: 0 });
  });

  test('that are slow make room for others, the slowest first; those that are not do not', () => {
    let time = 0;
    const admission = createAdmission(limits, () => time);
    const slow = admission.receive(undefined);
    const slowest = admission.receive(undefined);
    slow.received(100);
    time = 5_000;
    expect(() => admission.receive(1)).toThrow(Overloaded); // too early to tell
    time = 6_000;

    const next = admission.receive(1);
    expect([slow.cut.aborted, slowest.cut.aborted]).toEqual([false, true]);
    slow.received(6 * 1_024);
    next.received(1);
    expect(() => admission.receive(1)).toThrow(Overloaded);
  });

  test('that were cut are not accounted for any longer', () => {
    let time = 0;
    const admission = createAdmission({ ...limits, uploads: 1 }, () => time);
    const slow = admission.receive(undefined);
    time = 1_000_000;
    slow.received(FREE_BYTES + 500);
    admission.receive(1);

    slow.received(10_000);
    slow.leave();
    expect(admission.figures()).toMatchObject({ uploads: 1, uploadsBytes: 0 });
  });
});

const endless = () => new Promise<never>(() => {});
const failing = () => Promise.reject(new Error('no'));

describe('changes', () => {
  test('wait for a place, in order, and take it over when one is done', async () => {
    const admission = createAdmission({ ...limits, changes: 1, waiting: 10, waitMs: 5_000 });
    const done: number[] = [];
    const work = (nth: number) => async () => {
      await Promise.resolve();
      done.push(nth);
      expect(admission.figures().changes).toBe(1);
    };
    await Promise.all([1, 2, 3].map((nth) => admission.change(work(nth))));

    expect(done).toEqual([1, 2, 3]);
    expect(admission.figures()).toMatchObject({ changes: 0, waiting: 0 });
  });

  test('are turned away when they have waited too long, or too many wait', async () => {
    const admission = createAdmission(limits);
    void admission.change(endless);
    void admission.change(endless);
    const waiting = admission.change(endless);

    await expect(admission.change(endless)).rejects.toThrow('1 changes are waiting');
    await expect(waiting).rejects.toThrow(Overloaded);
    expect(admission.figures()).toMatchObject({ changes: 2, waiting: 0, shed: { change: 2 } });
  });

  test('give their place back when they fail', async () => {
    const admission = createAdmission({ ...limits, changes: 1 });
    await expect(admission.change(failing)).rejects.toThrow('no');

    expect(await admission.change(async () => 'in')).toBe('in');
  });
});

test('figures are shown to those who scrape', async () => {
  const register = new Registry();
  const admission = createAdmission({ ...limits, uploads: 1 });
  admissionMetrics(register, admission);
  admission.receive(undefined).received(FREE_BYTES + 7);
  expect(() => admission.receive(1)).toThrow(Overloaded);

  for (let scrape = 0; scrape < 2; scrape += 1) {
    const text = await register.metrics();
    expect(text).toContain('scrivener_uploads 1\n');
    expect(text).toContain('scrivener_uploads_bytes 7\n');
    expect(text).toContain('scrivener_changes 0\n');
    expect(text).toContain('scrivener_shed_total{what="upload"} 1\n');
    expect(text).toContain('scrivener_shed_total{what="slow"} 0\n');
  }
});
