import { describe, expect, test } from 'vitest';
import { barsOf } from './bars.ts';
import type { Figure, Report, Series } from './series.ts';

const spread = (median: number) => ({ median, min: median, max: median });
const series = (bench: string, work: string, side: string, rate: number, p99 = 1): Series => ({
  bench,
  work,
  side,
  rate: spread(rate),
  p50: spread(p99 / 2),
  p99: spread(p99),
  failed: 0,
  programs: {},
  isLimit: side === 'node:https',
});
const report = (all: readonly Series[], figures: readonly Figure[] = []): Report => ({
  format: 1,
  at: '2026-01-01T00:00:00Z',
  machine: {},
  runs: 1,
  seconds: 1,
  series: all,
  figures,
});

describe('the bars', () => {
  test('are told only where both sides were measured', () => {
    expect(barsOf(report([series('reads', 'timestamp.json', 'scrivener', 1)]))).toEqual([]);
  });

  test.each([
    ['rate just reached', 90, 2, true, true],
    ['rate missed', 89, 1, false, true],
    ['p99 missed', 100, 2.1, true, false],
  ])('reads beside the bare server: %s', (_, rate, p99, rateReached, p99Reached) => {
    const bars = barsOf(
      report([
        series('reads', 'root.json', 'scrivener', rate, p99),
        series('reads', 'root.json', 'node:https', 100, 1),
      ]),
    );

    expect(bars.map(({ reached }) => reached)).toEqual([rateReached, p99Reached]);
  });

  test('ask eight times the publishes of the old server, in a quarter of its time', () => {
    const bars = barsOf(
      report([
        series('publish', 'c16, 10 targets', 'scrivener', 400, 50),
        series('publish', 'c16, 10 targets', 'old server', 50, 190),
      ]),
    );

    expect(bars.map(({ measured, reached }) => [measured, reached])).toEqual([
      ['8.00 ×', true],
      ['0.26 ×', false],
    ]);
  });

  test('ask of large databases fifteen in a hundred less at most', () => {
    const bars = barsOf(
      report([
        series('flat', 'publish c16', '1,000 collections', 100),
        series('flat', 'publish c16', '1,000,000 collections', 84),
      ]),
    );

    expect(bars).toEqual([
      {
        what: 'flat: publish c16: 1,000,000 collections, to 1,000 collections',
        wanted: '≥ 0.85 ×',
        measured: '0.84 ×',
        reached: false,
      },
    ]);
  });

  test('know the figures that are times', () => {
    const figures = [
      { bench: 'start', name: 'the slowest of them', value: 4.9, unit: 's' },
      { bench: 'big: 75000 targets', name: 'event loop delay p99', value: 21, unit: 'ms' },
    ];

    expect(barsOf(report([], figures)).map(({ reached }) => reached)).toEqual([false, true]);
  });
});
