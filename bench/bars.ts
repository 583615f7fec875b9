import type { Report } from './series.ts';

/** Something that was set out to be reached, and what a report says of it. */
export interface Bar {
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly reached: boolean;
}

/** One side's figure beside another's at the same work. */
interface Ratio {
  readonly bench: string;
  readonly work: string;
  readonly figure: 'rate' | 'p99';
  readonly beside: 'node:https' | 'old server';
  /** Of the ratio; the other way round for times. */
  readonly bound: number;
}

const CURRENT = ['timestamp.json', 'snapshot.json', 'root.json'];
const BY_CHECKSUM = ['targets.{sha256}.json', 'the four reads of a pull'];
const OURS = 'scrivener';

const RATIOS: readonly Ratio[] = [
  ...[...CURRENT, ...BY_CHECKSUM].flatMap((work) => [
    { bench: 'reads', work, figure: 'rate', beside: 'node:https', bound: 0.9 } as const,
    { bench: 'reads', work, figure: 'p99', beside: 'node:https', bound: 2 } as const,
  ]),
  ...CURRENT.map((work) => old('reads', work, 'rate', 20)),
  ...BY_CHECKSUM.map((work) => old('reads', work, 'rate', 10)),
  ...['c16', 'c64'].flatMap((clients) => [
    old('publish', `${clients}, 10 targets`, 'rate', 8),
    old('publish', `${clients}, 10 targets`, 'p99', 1 / 4),
    old('publish', `${clients}, 1000 targets`, 'rate', 4),
  ]),
  ...['c1', 'c16', 'c64'].map((clients) => old('init', clients, 'rate', 8)),
];

/** By how much the same work may be slower in old collections, or beside many of them. */
const FLAT = 0.85;

function old(bench: string, work: string, figure: Ratio['figure'], bound: number): Ratio {
  return { bench, work, figure, beside: 'old server', bound };
}

/** The bars that this report can tell something about: ratios and times of one run, on one machine. */
export function barsOf(report: Report): Bar[] {
  return [
    ...RATIOS.flatMap((ratio) => ratioBar(report, ratio)),
    ...lonePublish(report),
    ...flatBars(report),
    ...figureBar(report, 'event loop delay p99', 20, 'big files: event loop delay p99'),
    ...figureBar(report, 'the slowest of them', 5, 'npm start again, until healthy'),
    ...memoryBar(report),
  ];
}

function ratioBar({ series }: Report, { bench, work, figure, beside, bound }: Ratio): Bar[] {
  const of = (name: string) =>
    series.find((each) => each.bench === bench && each.work === work && each.side === name)?.[
      figure
    ]?.median;
  const [ours, other] = [of(OURS), of(beside)];
  if (ours === undefined || other === undefined) return [];
  const value = ours / other;
  const isTime = figure === 'p99';
  return [
    {
      what: `${bench}: ${work}: ${isTime ? 'p99' : 'per second'}, to ${beside}`,
      wanted: `${isTime ? '≤' : '≥'} ${times(bound)}`,
      measured: times(value),
      reached: isTime ? value <= bound : value >= bound,
    },
  ];
}

function lonePublish({ series }: Report): Bar[] {
  const p50 = series.find(({ work, side }) => work === 'c1, 10 targets' && side === OURS)?.p50
    ?.median;
  return p50 === undefined ? [] : [atMost('publish: a lone one, p50', p50, 6, 'ms')];
}

/** What has two sides there is first the small one, then the large one. */
function flatBars({ series }: Report): Bar[] {
  const flat = series.filter(({ bench }) => bench === 'flat');
  return [...new Set(flat.map(({ work }) => work))].flatMap((work) => {
    const [small, large] = flat.filter((each) => each.work === work);
    if (small === undefined || large === undefined) return [];
    const value = large.rate.median / small.rate.median;
    return [
      {
        what: `flat: ${work}: ${large.side}, to ${small.side}`,
        wanted: `≥ ${times(FLAT)}`,
        measured: times(value),
        reached: value >= FLAT,
      },
    ];
  });
}

function figureBar({ figures }: Report, name: string, bound: number, what: string): Bar[] {
  const found = figures.find((figure) => figure.name === name);
  return found === undefined ? [] : [atMost(what, found.value, bound, found.unit)];
}

function memoryBar({ series }: Report): Bar[] {
  const mixed = series.find(({ bench, side }) => bench === 'mixed' && side === OURS);
  const most = mixed?.programs['api']?.memory.max;
  return most === undefined
    ? []
    : [atMost('mixed: memory of the API, most', most / 1e6, 250, 'MB')];
}

function atMost(what: string, value: number, bound: number, unit: string): Bar {
  return {
    what,
    wanted: `≤ ${bound} ${unit}`,
    measured: `${value.toFixed(1)} ${unit}`,
    reached: value <= bound,
  };
}

function times(value: number): string {
  return `${value.toFixed(2)} ×`;
}
