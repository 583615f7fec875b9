import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { ProjectionLag } from '@scrivener/read-model';
import { createHealth, queueCheck } from './health.ts';

const inStep = { position: 7, checkpoint: 7, behindMs: 0 };
const answering = (lag: ProjectionLag) => ({ lag: async () => lag });

describe('health', () => {
  test.each<[string, ProjectionLag, Record<string, string>]>([
    ['all is well', inStep, {}],
    ['a projection is a little late', { ...inStep, position: 9, behindMs: 29_000 }, {}],
    [
      'nobody projects',
      { ...inStep, position: 9, behindMs: 31_400 },
      { 'Projection operational': 'the projection is 2 events and 31 seconds behind the log' },
    ],
  ])('says so where %s', async (_, lag, troubles) => {
    expect(await createHealth(answering(lag)).health()).toEqual(troubles);
  });

  test.each([
    ['is away', () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:5432'))],
    ['hangs', () => new Promise<never>(() => {})],
  ])('names the database alone, and no address, where it %s', async (_, lag) => {
    const started = performance.now();

    expect(await createHealth({ lag }, async () => undefined).health()).toEqual({
      'DB operational': 'the database does not answer',
    });
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test.each([
    [{ queue: true, workers: 2, state: 'answering' }, {}],
    [
      { queue: false, workers: 0, state: 'silent' },
      { 'Trust operational': 'the queue does not answer' },
    ],
    [
      { queue: true, workers: 0, state: 'silent' },
      { 'Trust operational': 'no signer worker is connected to the queue' },
    ],
    [
      { queue: true, workers: 2, state: 'silent' },
      { 'Trust operational': 'no signer worker answers' },
    ],
    [
      { queue: true, workers: 2, state: 'keyless' },
      { 'Trust operational': 'signer workers do not reach their keys' },
    ],
  ] as const)('knows of a queue that says %j', async (state, troubles) => {
    const check = queueCheck({ health: async () => state });

    expect(await createHealth(answering(inStep), check).health()).toEqual(troubles);
  });

  test('costs the stores one question, however many ask at once', async () => {
    const asked = { lag: 0, trust: 0 };
    const { health, ready } = createHealth(
      {
        lag: async () => {
          asked.lag += 1;
          await sleep(30);
          return inStep;
        },
      },
      async () => {
        asked.trust += 1;
        return undefined;
      },
    );

    await Promise.all(Array.from({ length: 500 }, (_, n) => (n % 2 === 0 ? health() : ready())));

    expect(asked).toEqual({ lag: 1, trust: 1 });
  });

  test('is not what a process that was asked to stop is judged by: it is well, and not ready', async () => {
    const { health, ready, drain } = createHealth(answering(inStep));
    expect(await ready()).toEqual({});

    drain();

    expect(await ready()).toEqual({ draining: 'this process is stopping' });
    expect(await health()).toEqual({});
  });
});
