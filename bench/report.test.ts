import { describe, expect, test } from 'vitest';
import { tableOf } from './report.ts';
import type { Report } from './series.ts';

const spread = (median: number) => ({ median, min: median / 2, max: median * 2 });
const reportOf = (rate: number, seconds: number): Report => ({
  format: 1,
  at: '2026-01-01T00:00:00Z',
  machine: { node: '24' },
  runs: 3,
  seconds: 2,
  series: [
    {
      bench: 'reads',
      work: 'root.json',
      side: 'scrivener',
      rate: spread(rate),
      p99: spread(2),
      failed: 1,
      problem: '503',
      programs: { api: { cpu: spread(26), memory: spread(80e6), memoryByRun: [80e6] } },
      isLimit: false,
    },
    {
      bench: 'reads',
      work: 'root.json',
      side: 'node:https',
      rate: spread(2_000),
      failed: 0,
      programs: {},
      isLimit: true,
    },
  ],
  figures: [{ bench: 'start', name: 'later ones', value: seconds, unit: 's' }],
});

describe('the tables', () => {
  test('tell rates with least and most, share of the limit, use, and what failed', () => {
    const lines = tableOf(reportOf(1_000, 4), 'text').split('\n');

    expect(lines).toContain('3 runs of 2 s each: medians, with least and most');
    expect(lines.find((line) => line.includes('2.00 (1.00–4.00)'))?.split(/ {2,}/)).toEqual([
      'root.json',
      'scrivener',
      '1,000 (500–2,000)',
      '50.0 %',
      '2.00 (1.00–4.00)',
      '1: 503',
    ]);
    expect(lines).toContain('root.json  scrivener   26.0, 80 MB');
  });

  test('tell in Markdown how many times as much it is as then', () => {
    const lines = tableOf(reportOf(1_000, 4), 'markdown', reportOf(500, 5)).split('\n');

    expect(lines).toContain(
      '| root.json | scrivener | 1,000 (500–2,000) | 50.0 % | 2.00 (1.00–4.00) | 1: 503 | × 2.00 |',
    );
    expect(lines).toContain('| start | later ones | 4.00 s | × 0.80 |');
    expect(lines.filter((line) => /^[| -]*-[| -]*$/.test(line))).toHaveLength(4);
  });
});
