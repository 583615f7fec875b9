import { emptyRepository, type EventStore } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { describe, expect, test } from 'vitest';
import { memoryReadModel } from './memory/read-model.ts';
import { runProjection } from './run-projection.ts';

describe('runProjection', () => {
  test('tells of a failure and goes on', async () => {
    const events = memoryEventStore();
    const readModel = memoryReadModel(events);
    let failures = 3;
    const failing = {
      ...readModel,
      async project() {
        failures -= 1;
        if (failures >= 0) throw new Error(`failure ${failures}`);
        return readModel.project();
      },
    };
    const errors: unknown[] = [];
    const stop = new AbortController();
    const running = runProjection(failing, events, {
      signal: stop.signal,
      onError: (error) => errors.push(error),
    });
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));

    expect(await readModel.reached(1, 5_000)).toBe(true);
    expect(errors).toHaveLength(3);
    stop.abort();
    await running;
  });

  test('works by polling where it cannot subscribe', async () => {
    const events = memoryEventStore();
    const readModel = memoryReadModel(events);
    const deaf = { ...events, subscribe: () => Promise.reject(new Error('no ears')) };
    const errors: unknown[] = [];
    const stop = new AbortController();
    const running = runProjection(readModel, deaf, {
      signal: stop.signal,
      onError: (error) => errors.push(error),
    });
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));

    expect(await readModel.reached(1, 5_000)).toBe(true);
    expect(errors).toEqual([new Error('no ears')]);
    stop.abort();
    await running;
  });

  test('projects also what its writer was going to project and did not', async () => {
    const events = memoryEventStore();
    const readModel = memoryReadModel(events);
    const stop = new AbortController();
    const running = runProjection(readModel, events, { signal: stop.signal, onError: () => {} });
    const dying: EventStore = {
      ...events,
      append: (head, event, files) => events.append(head, event, files, { projects: true }),
    };
    await storyteller(dying).publish(emptyRepository(gunOf('a/b')));

    expect(await readModel.reached(1, 5_000)).toBe(true);
    stop.abort();
    await running;
  });

  test('ends at once when it is stopped before it starts', async () => {
    const events = memoryEventStore();
    const readModel = memoryReadModel(events);
    await storyteller(events).publish(emptyRepository(gunOf('a/b')));

    await runProjection(readModel, events, { signal: AbortSignal.abort(), onError: () => {} });

    expect(await readModel.checkpoint()).toBe(0);
  });
});
