import { readFileSync } from 'node:fs';
import { Connection } from './load/connection.ts';
import type { Figure } from './series.ts';
import { spreadOf } from './series.ts';
import type { Contender } from './subject.ts';
import { usageOf } from './usage.ts';

/** What the gauge of the event loop's delay has in it besides, in milliseconds: its own timer. */
const OWN_TIMER = 10;
const POOL = 4;

/**
 * How long the API's event loop keeps everybody else waiting while big targets files are published one
 * after the other, as its own gauges have it; they begin anew with each look.
 */
export async function measureBig(
  { subject, client }: Contender,
  { entries, runs, seconds }: { entries: number; runs: number; seconds: number },
): Promise<Figure[]> {
  const pool = `big-${entries}`;
  await client.create(pool, POOL, entries);
  const connection = new Connection(subject.url, readFileSync(subject.caFile));
  const p99: number[] = [];
  const worst: number[] = [];
  const answers: number[] = [];
  let failed = 0;
  for (let run = 0; run < runs; run += 1) {
    await delays(connection);
    const sample = await client.measure({ do: 'publish', pool, clients: 1, ms: seconds * 1_000 });
    const { p99: high, max } = await delays(connection);
    p99.push(high);
    worst.push(max);
    answers.push(sample.p50 ?? 0);
    failed += sample.failed;
  }
  connection.close();
  const api = subject.watched.filter(({ name }) => name === 'api');
  const memory = usageOf(api).get('api')?.memory ?? 0;
  const bench = `big: ${entries} targets`;
  return [
    { bench, name: 'event loop delay p99', value: spreadOf(p99).median, unit: 'ms' },
    { bench, name: 'event loop delay, longest', value: Math.max(...worst), unit: 'ms' },
    { bench, name: 'a publish, p50', value: spreadOf(answers).median, unit: 'ms' },
    { bench, name: 'publishes that failed', value: failed, unit: '' },
    { bench, name: 'memory of the API afterwards', value: memory / 1e6, unit: 'MB' },
  ];
}

/** Since the last look, in milliseconds. */
async function delays(
  connection: Connection,
): Promise<{ readonly p99: number; readonly max: number }> {
  const { status, body } = await connection.get('/metrics');
  if (status !== 200) throw new Error(`GET /metrics: ${status}`);
  const gauge = (name: string) => {
    const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString()) ?? [];
    if (value === undefined) throw new Error(`no ${name} in /metrics`);
    return Math.max(0, Number(value) * 1_000 - OWN_TIMER);
  };
  return {
    p99: gauge('nodejs_eventloop_lag_p99_seconds'),
    max: gauge('nodejs_eventloop_lag_max_seconds'),
  };
}
