import { expect, test } from 'vitest';
import { createWorkerMetrics } from './metrics.ts';

test('a worker counts its jobs by outcome and what it refused, from the start', async () => {
  const metrics = createWorkerMetrics();
  const refusedOnes = /^scrivener_jobs_refused_total\{reason="[a-z]+"\} 0$/gm;
  const before = (await metrics.render()).match(refusedOnes)?.length ?? 0;
  expect(before).toBeGreaterThan(3);

  metrics.answered({ id: '1', name: 'sign', outcome: 'signed', milliseconds: 7 });
  metrics.answered({ id: '2', name: 'sign', outcome: 'UNKNOWN_KEY', milliseconds: 2 });
  metrics.refused('forged');
  metrics.refused('forged');
  metrics.failed();

  const text = await metrics.render();
  for (const line of [
    'scrivener_job_duration_seconds_bucket{le="0.005",job="sign",outcome="signed"} 0',
    'scrivener_job_duration_seconds_bucket{le="0.01",job="sign",outcome="signed"} 1',
    'scrivener_job_duration_seconds_count{job="sign",outcome="unknown_key"} 1',
    'scrivener_jobs_refused_total{reason="forged"} 2',
    'scrivener_jobs_failed_total 1',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  expect(text.match(refusedOnes)).toHaveLength(before - 1);
});
