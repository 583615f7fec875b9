import { barsOf } from './bars.ts';
import type { Report, Series, Spread } from './series.ts';

/** For a terminal, or to be put into a page. */
export type Format = 'text' | 'markdown';

interface Table {
  readonly title: string;
  /** The first one is the head. */
  readonly rows: readonly (readonly string[])[];
}

/** The tables for people; ratios to an earlier run where there is one. */
export function tableOf(report: Report, format: Format, earlier?: Report): string {
  const machine = Object.entries(report.machine).map(([name, value]) => `${name}: ${value}`);
  const about = [
    ...machine,
    `${report.runs} runs of ${report.seconds} s each: medians, with least and most`,
  ];
  const tables = tablesOf(report, earlier);
  return format === 'text'
    ? [...about, ...tables.flatMap(textOf)].join('\n')
    : [about.join('; '), ...tables.flatMap(markdownOf)].join('\n');
}

function tablesOf(report: Report, earlier: Report | undefined): Table[] {
  const benches = [...new Set(report.series.map(({ bench }) => bench))];
  const tables = benches.flatMap((bench) => {
    const rows = report.series.filter((series) => series.bench === bench);
    return [
      { title: bench, rows: [HEAD, ...rows.map((series) => cells(series, report, earlier))] },
      { title: `${bench}: CPU in us per operation, and memory`, rows: useOf(rows) },
    ];
  });
  const figures = report.figures.map(({ bench, name, value, unit }) => {
    const before = earlier?.figures.find((each) => each.bench === bench && each.name === name);
    return [bench, name, `${figure(value)} ${unit}`, before ? ratio(value, before.value) : ''];
  });
  const bars = barsOf(report).map(({ what, wanted, measured, reached }) => [
    what,
    wanted,
    measured,
    reached ? 'reached' : 'NOT reached',
  ]);
  return [
    ...tables,
    { title: 'figures', rows: [['of', 'figure', 'value', 'then'], ...figures] },
    { title: 'bars', rows: [['bar', 'wanted', 'measured', ''], ...bars] },
  ].filter(({ rows }) => rows.length > 1);
}

function textOf({ title, rows }: Table): string[] {
  const kept = withoutEmptyColumns(rows);
  const widths = (kept[0] ?? []).map((_, column) =>
    Math.max(...kept.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return ['', `# ${title}`, '', ...kept.map(line)];
}

function markdownOf({ title, rows }: Table): string[] {
  const [head = [], ...body] = withoutEmptyColumns(rows);
  return ['', `### ${title}`, '', piped(head), piped(head.map(() => '---')), ...body.map(piped)];
}

const piped = (row: readonly string[]) => `| ${row.join(' | ')} |`;

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

/** A column where only the head says something tells nothing. */
function withoutEmptyColumns(rows: Table['rows']): string[][] {
  const [, ...body] = rows;
  const isUsed = (_: string, column: number) => body.some((row) => (row[column] ?? '') !== '');
  return rows.map((row) => row.filter(isUsed));
}
