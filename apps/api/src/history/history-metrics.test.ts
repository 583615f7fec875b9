import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { historyMetrics } from './history-metrics.ts';
import { createPastTurnstile } from './streams.ts';

test('says how many are made, wait and were turned away', async () => {
  const register = new Registry();
  const turnstile = createPastTurnstile({ places: 1, waiting: 1, waitMs: 5_000 });
  historyMetrics(register, turnstile);
  const { promise, resolve } = Promise.withResolvers<void>();
  const both = [turnstile.run(() => promise), turnstile.run(() => promise)];
  await expect(turnstile.run(() => promise)).rejects.toThrow('are waiting');

  const text = await register.metrics();

  expect(text).toContain('scrivener_history 1\n');
  expect(text).toContain('scrivener_history_waiting 1\n');
  expect(text).toContain('scrivener_history_shed_total 1\n');
  resolve();
  await Promise.all(both);
});
