import { readFileSync } from 'node:fs';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { withLimit } from './share-answers.ts';

/** Where some of the figures come from: asked anew for each scrape. */
export interface MetricSource {
  /** Label of `scrivener_source_up`: `database`, `queue`. */
  readonly name: string;
  /** Sets gauges to what is true now. */
  readonly collect: () => Promise<void>;
  /** Takes away what is not known any more: no figure is better than an old one. */
  readonly forget: () => void;
}

/** How long a scrape waits for its sources, in milliseconds. */
const SOURCE_LIMIT = 2_000;

/** A registry with what every program of ours says about itself: `process_*`, `nodejs_*`, its version. */
export function createRegistry(): Registry {
  const register = new Registry();
  showProcess(register);
  showBuild(register);
  return register;
}

/** Taken from lists of Node's that it does not document: where one of these is gone by then, Node aborts. */
const MAY_ABORT = ['nodejs_active_handles', 'nodejs_active_requests'].flatMap((name) => [
  name,
  `${name}_total`,
]);

/** `process_*` and `nodejs_*`; what is active is in `nodejs_active_resources`. */
export function showProcess(register: Registry): void {
  collectDefaultMetrics({ register });
  for (const name of MAY_ABORT) register.removeSingleMetric(name);
}

export function showBuild(register: Registry): void {
  const build = new Gauge({
    name: 'scrivener_build_info',
    help: 'What is running; always 1.',
    labelNames: ['node', 'version'],
    registers: [register],
  });
  build.set({ node: process.versions.node, version: version() }, 1);
}

/** Asks all sources anew; takes two seconds at most. */
export type Refresh = () => Promise<void>;

/**
 * Everything in Prometheus' text format. Never fails for want of a source, and takes two seconds at
 * most: `scrivener_source_up` tells which figures are missing, and why.
 */
export function createRender(
  register: Registry,
  sources: readonly MetricSource[],
): () => Promise<string> {
  const refresh = createRefresh(register, sources);
  return async () => {
    await refresh();
    return register.metrics();
  };
}

/** The figures of `sources`, where there is more than one register. Never fails, as `createRender`. */
export function createRefresh(register: Registry, sources: readonly MetricSource[]): Refresh {
  const up = new Gauge({
    name: 'scrivener_source_up',
    help: 'Whether what figures are taken from answered this scrape.',
    labelNames: ['source'],
    registers: [register],
  });
  const refresh = async ({ name, collect, forget }: MetricSource) => {
    try {
      await withLimit(collect, SOURCE_LIMIT);
      up.set({ source: name }, 1);
    } catch {
      forget();
      up.set({ source: name }, 0);
    }
  };
  return async () => {
    await Promise.all(sources.map(refresh));
  };
}

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
