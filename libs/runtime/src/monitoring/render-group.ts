import { Counter, Gauge, type Registry } from 'prom-client';
import type { Group } from '../workers/group.ts';
import {
  mergeFigures,
  renderFigures,
  takeFigures,
  type Figures,
  type Registers,
} from './figures.ts';
import { createRefresh, type MetricSource } from './registry.ts';

/**
 * Everything in Prometheus' text format, as `createRender`. Where this process is one of several under
 * the same address, its answer is that of all of them, whichever is asked; where the others cannot be
 * asked, what is counted is missing, for a part of it would look like a restart.
 */
export function renderGroup(
  registers: Registers,
  sources: readonly MetricSource[],
  group: Group | undefined,
): () => Promise<string> {
  const { own, counts, shared } = registers;
  if (group === undefined) {
    const refresh = createRefresh(shared, sources);
    return async () => {
      await refresh();
      return texts([own.metrics(), counts.metrics(), shared.metrics()]);
    };
  }
  group.answerWith(() => takeFigures(registers));
  const workers = workersSource(shared, group);
  const refresh = createRefresh(shared, [...sources, workers]);
  return async () => {
    await refresh();
    const figures = workers.found();
    return texts([
      figures === undefined ? own.metrics() : renderFigures(figures),
      shared.metrics(),
    ]);
  };
}

async function texts(parts: readonly Promise<string>[]): Promise<string> {
  return (await Promise.all(parts)).join('\n');
}

/** The workers as one more source of figures. */
function workersSource(
  register: Registry,
  group: Group,
): MetricSource & { readonly found: () => Figures | undefined } {
  const registers = [register];
  const running = new Gauge({
    name: 'scrivener_workers',
    help: 'Processes under this address that serve.',
    registers,
  });
  const replaced = new Counter({
    name: 'scrivener_workers_replaced_total',
    help: 'Processes under this address that ended unasked, and others were started in their place.',
    registers,
  });
  let found: Figures | undefined;
  return {
    name: 'workers',
    found: () => found,
    async collect() {
      const all = await group.gather();
      found = await mergeFigures(all.figures);
      running.set(all.running);
      replaced.reset();
      replaced.inc(all.replaced);
    },
    forget() {
      found = undefined;
      running.remove();
      replaced.remove();
    },
  };
}
