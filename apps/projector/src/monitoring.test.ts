import { emptyRepository, type RecordedEvent } from '@scrivener/events';
import { memoryEventStore } from '@scrivener/events/memory';
import { gunOf, storyteller } from '@scrivener/events/testing';
import { createLogger } from '@scrivener/runtime';
import { expect, test } from 'vitest';
import { createMonitoring } from './monitoring.ts';

/** Events of one repository, each with the cause of a request. */
async function eventsOf(count: number): Promise<RecordedEvent[]> {
  const events = memoryEventStore();
  const tell = storyteller(events);
  let repository = emptyRepository(gunOf('a/b'));
  for (let n = 0; n < count; n += 1) ({ repository } = await tell.publish(repository));
  const recorded = await events.readAfter(0, count);
  const cause = { requestId: 'r', traceId: 't'.repeat(32), spanId: 's'.repeat(16) };
  return recorded.map((one) => ({ ...one, event: { ...one.event, cause } }));
}

function monitored() {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('info', {
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return { lines, monitoring: createMonitoring(logger) };
}

test('each event is a line of log that names its request and its trace', async () => {
  const { lines, monitoring } = monitored();

  monitoring.projected({ events: await eventsOf(2), startedAt: new Date() });

  expect(lines).toEqual([
    {
      level: 'info',
      msg: 'projected',
      time: expect.any(String),
      position: 1,
      gun: 'a/b',
      type: 'UpdatePublished',
      'http.request.id': 'r',
      trace_id: 't'.repeat(32),
      span_id: 's'.repeat(16),
    },
    expect.objectContaining({ position: 2 }),
  ]);
});

test('a projection that catches up does so in one line for each batch', async () => {
  const { lines, monitoring } = monitored();

  monitoring.projected({ events: await eventsOf(51), startedAt: new Date() });

  expect(lines).toMatchObject([{ msg: 'catching up', events: 51, position: 51 }]);
  expect(await monitoring.metrics()).toContain('\nscrivener_projected_events_total 51\n');
});

test('a projector is not well before it has seen its database, and while that is away', async () => {
  const { monitoring } = monitored();
  expect(await monitoring.health()).toEqual({ 'DB operational': 'no answer' });
  expect(await monitoring.metrics()).toContain('\nscrivener_source_up{source="database"} 0\n');

  monitoring.watch({ lag: async () => ({ position: 5, checkpoint: 4, behindMs: 10 }) });

  await expect.poll(() => monitoring.health(), { timeout: 10_000 }).toEqual({});
  expect(await monitoring.metrics()).toContain('\nscrivener_projection_lag_events 1\n');
});

test('failures are counted and logged', async () => {
  const { lines, monitoring } = monitored();

  monitoring.failed(new Error('the database went away'));

  expect(await monitoring.metrics()).toContain('\nscrivener_projection_failures_total 1\n');
  expect(lines).toMatchObject([{ level: 'warning', msg: 'cannot project, trying again' }]);
});

test('what fsck found is told by kind, and named in the log with the head to keep', async () => {
  const { lines, monitoring } = monitored();
  const head = { position: 7, digest: 'ab'.repeat(32) };
  const finding = { kind: 'chain', position: 3, gun: 'a/b', reason: 'its hash does not follow' };

  monitoring.checked({ head, events: 7, seconds: 1.5, findings: [] });
  monitoring.checked({ head, events: 7, seconds: 2, findings: [{ ...finding, kind: 'chain' }] });

  expect(lines).toEqual([
    expect.objectContaining({
      level: 'info',
      msg: 'fsck: nothing is wrong',
      head: `7:${head.digest}`,
    }),
    expect.objectContaining({
      level: 'error',
      msg: 'fsck: chain: position 3, "a/b": its hash does not follow',
    }),
    expect.objectContaining({ level: 'error', msg: 'fsck: something is wrong', findings: 1 }),
  ]);
  const metrics = await monitoring.metrics();
  expect(metrics).toContain('\nscrivener_fsck_findings{kind="chain"} 1\n');
  expect(metrics).toContain('\nscrivener_fsck_findings{kind="file"} 0\n');
  expect(metrics).toContain('\nscrivener_fsck_duration_seconds 2\n');
});
