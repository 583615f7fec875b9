import { createLogger } from '@scrivener/runtime';
import { expect, test } from 'vitest';
import { countRefusedJobs } from './refused-jobs.ts';

test('refused jobs are all counted, and told of once in ten seconds for each reason', () => {
  const lines: string[] = [];
  const logger = createLogger('info', { write: (line) => lines.push(line) });
  let now = 0;
  const { refused, onRefused } = countRefusedJobs(logger, () => now);

  for (let job = 0; job < 1_000; job += 1) onRefused('forged', 'x'.repeat(10_000));
  onRefused('replayed', 'sign-1');
  now = 10_000;
  onRefused('forged', 'sign-2');

  expect(refused).toEqual({ forged: 1_001, expired: 0, early: 0, replayed: 1 });
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { msg: 'refused a job', jobId: 'x'.repeat(100), reason: 'forged', refused: { forged: 1 } },
    { reason: 'replayed', refused: { forged: 1_000, replayed: 1 } },
    { reason: 'forged', jobId: 'sign-2', refused: { forged: 1_001, expired: 0, replayed: 1 } },
  ]);
});
