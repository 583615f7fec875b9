export { CHECK_FRESH, CHECK_LIMIT, createChecks, type Check, type Troubles } from './checks.ts';
export { DRAINING, serveMonitor, type Monitor, type MonitorServer } from './monitor.ts';
export { projectionGauges } from './projection-gauges.ts';
export { createRegisters, takeFigures, type Registers } from './figures.ts';
export { createRegistry, createRender, type MetricSource } from './registry.ts';
export { renderGroup } from './render-group.ts';
export { shareAnswers } from './share-answers.ts';
export { SpreadSummary } from './spread-summary.ts';
