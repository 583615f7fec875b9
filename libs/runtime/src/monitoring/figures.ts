import { AggregatorRegistry, Registry } from 'prom-client';
import { showBuild, showProcess } from './registry.ts';
import { SpreadSummary, type SummaryState } from './spread-summary.ts';

type MetricJson = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number];

/** The figures of a process that may be one of several under the same address. */
export interface Registers {
  /** `process_*`, `nodejs_*`: of each process; with its number as label `worker` where it is one of several. */
  readonly own: Registry;
  /** What it has counted, and has in hand: of all of them together. */
  readonly counts: Registry;
  /** What is the same whoever looks: of whoever is asked. */
  readonly shared: Registry;
}

export function createRegisters(worker?: number): Registers {
  const own = new Registry();
  showProcess(own);
  if (worker !== undefined) own.setDefaultLabels({ worker });
  const shared = new Registry();
  showBuild(shared);
  return { own, counts: new Registry(), shared };
}

/** What one process has to tell about itself. */
export interface Figures {
  readonly own: readonly MetricJson[];
  readonly counts: readonly MetricJson[];
  readonly summaries: readonly SummaryState[];
}

export async function takeFigures({ own, counts }: Omit<Registers, 'shared'>): Promise<Figures> {
  const [process, counted] = await Promise.all([own.getMetricsAsJSON(), counts.getMetricsAsJSON()]);
  return {
    // Each has a label of its own, so nothing is ever added up.
    own: process.map((metric) => ({ ...metric, aggregator: 'sum' })),
    counts: counted,
    summaries: counts
      .getMetricsAsArray()
      .filter((metric) => metric instanceof SpreadSummary)
      .map(({ state }) => state),
  };
}

/** What stays true of a process that does not answer any more: what it had counted. */
export function lastingFigures({ counts, summaries }: Figures): Figures {
  return { own: [], counts: counts.filter(lasts), summaries };
}

function lasts({ type }: MetricJson): boolean {
  return ['counter', 'histogram'].includes(String(type));
}

/** The figures of several processes as those of one. */
export async function mergeFigures(all: readonly Figures[]): Promise<Figures> {
  const merged = new Registry();
  for (const summary of all.flatMap(({ summaries }) => summaries)) {
    const known = merged.getSingleMetric(summary.name);
    const into =
      known instanceof SpreadSummary
        ? known
        : new SpreadSummary({ ...summary, values: [], register: merged });
    into.merge(summary);
  }
  const [own, counts] = await Promise.all([
    added(all.map((each) => each.own)),
    added(all.map((each) => each.counts)),
  ]);
  const { summaries } = await takeFigures({ own: new Registry(), counts: merged });
  return { own, counts, summaries };
}

function added(all: readonly (readonly MetricJson[])[]): Promise<MetricJson[]> {
  return AggregatorRegistry.aggregate(all.map((metrics) => [...metrics])).getMetricsAsJSON();
}

/** Merged figures in Prometheus' text format. */
export async function renderFigures({ own, counts, summaries }: Figures): Promise<string> {
  const register = new Registry();
  for (const summary of summaries) {
    new SpreadSummary({ ...summary, values: [], register }).merge(summary);
  }
  const texts = [
    AggregatorRegistry.aggregate([[...own]]).metrics(),
    AggregatorRegistry.aggregate([[...counts]]).metrics(),
    register.metrics(),
  ];
  return (await Promise.all(texts)).join('\n');
}
