import type { Report, Series, Spread } from './series.ts';

/** The tables for people; ratios to an earlier run where there is one. */
export function tableOf(report: Report, earlier?: Report): string {
  const lines = Object.entries(report.machine).map(([name, value]) => `${name}: ${value}`);
  lines.push(`${report.runs} runs of ${report.seconds} s each: medians, with least and most`);
  for (const bench of new Set(report.series.map(({ bench }) => bench))) {
    const rows = report.series.filter((series) => series.bench === bench);
    lines.push('', `# ${bench}`, '');
    lines.push(...aligned([HEAD, ...rows.map((series) => cells(series, report, earlier))]));
    lines.push('', 'CPU in us per operation, and memory in MB', '', ...aligned(useOf(rows)));
  }
  if (report.figures.length > 0) {
    const rows = report.figures.map(({ bench, name, value, unit }) => {
      const before = earlier?.figures.find((each) => each.bench === bench && each.name === name);
      return [bench, name, `${figure(value)} ${unit}`, before ? ratio(value, before.value) : ''];
    });
    lines.push('', ...aligned([['', 'figure', 'value', 'then'], ...rows]));
  }
  return lines.join('\n');
}

const HEAD = ['work', 'side', 'per second', 'of limit', 'p50 ms', 'p99 ms', 'failed', 'then'];

function cells(series: Series, report: Report, earlier: Report | undefined): string[] {
  const { work, side, rate, p50, p99, failed } = series;
  const before = earlier?.series.find((each) => isSame(each, series));
  return [
    work,
    side,
    spread(rate),
    ofLimit(series, report),
    p50 === undefined ? '' : figure(p50.median),
    p99 === undefined ? '' : spread(p99),
    failed === 0 ? '' : `${failed}: ${series.problem ?? ''}`,
    before === undefined ? '' : ratio(rate.median, before.rate.median),
  ];
}

/** A column for each program. */
function useOf(rows: readonly Series[]): string[][] {
  const names = [...new Set(rows.flatMap(({ programs }) => Object.keys(programs)))];
  return [
    ['work', 'side', ...names],
    ...rows.map(({ work, side, programs }) => [
      work,
      side,
      ...names.map((name) => {
        const used = programs[name];
        if (used === undefined) return '';
        return `${figure(used.cpu.median)}, ${(used.memory.median / 1e6).toFixed(0)} MB`;
      }),
    ]),
  ];
}

function isSame(a: Series, b: Series): boolean {
  return a.bench === b.bench && a.work === b.work && a.side === b.side;
}

/** Beside the first limit that was measured at the same work. */
function ofLimit(series: Series, { series: all }: Report): string {
  if (series.isLimit) return 'limit';
  const limit = all.find(
    ({ bench, work, isLimit }) => isLimit && bench === series.bench && work === series.work,
  );
  return limit === undefined ? '' : `${figure((100 * series.rate.median) / limit.rate.median)} %`;
}

const spread = ({ median, min, max }: Spread) =>
  `${figure(median)} (${figure(min)}–${figure(max)})`;

const ratio = (now: number, then: number) => `× ${(now / then).toFixed(2)}`;

/** Three digits or so: nobody measures more here. */
function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const [head = []] = rows;
  const used = head.map((_, column) =>
    rows.slice(1).some((row) => row[column] !== undefined && row[column] !== ''),
  );
  const widths = head.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (used[column] === true ? `${cell.padEnd(widths[column] ?? 0)}  ` : ''))
      .join('')
      .trimEnd(),
  );
}
