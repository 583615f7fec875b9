import { createRegistry, createRender, type MetricSource } from '@scrivener/runtime/monitoring';
import { Counter, Summary, type Registry } from 'prom-client';
import type { Reply } from '../answer.ts';
import type { Operation } from '../paths.ts';
import { statusOf } from './request-log.ts';
import { countPublishes } from './signing-metrics.ts';

/** The operations that are counted; `/v2/`, health, metrics and unknown paths are not. */
const COUNTED = [
  'UpdateTUF',
  'GetRoleByHash',
  'GetRoleByVersion',
  'GetRole',
  'GetKey',
  'RotateKey',
  'DeleteTUF',
  'Changefeed',
] as const satisfies readonly Operation[];

/** What the server counts about itself (WIRE §12). */
export interface Metrics {
  /** Counts a request that is over; `microseconds` since it came in. */
  observe(res: Reply, microseconds: number): void;
  /** `publish` as it was, with its outcomes counted. */
  countPublishes<Command, Result>(
    publish: (command: Command) => Promise<Result>,
  ): (command: Command) => Promise<Result>;
  /** Everything in Prometheus' text format. */
  render(): Promise<string>;
}

/** `sources` are asked anew for each scrape. */
export function createMetrics(
  register: Registry = createRegistry(),
  sources: readonly MetricSource[] = [],
): Metrics {
  const registers = [register];
  const requests = new Counter({
    name: 'notary_server_http_requests_total',
    help: 'Total number of HTTP requests made.',
    labelNames: ['code', 'method', 'operation'],
    registers,
  });
  const summary = (name: string, help: string) => {
    const labelNames: SummaryLabel[] = ['operation'];
    const made = new OperationSummary({ name, help, labelNames, percentiles, registers });
    // A summary exists for each operation from the start: observing makes it, resetting empties it.
    for (const operation of COUNTED) made.observe({ operation }, 0);
    made.reset();
    return made;
  };
  const duration = summary(
    'notary_server_http_request_duration_microseconds',
    'The HTTP request latencies in microseconds.',
  );
  const requestSize = summary(
    'notary_server_http_request_size_bytes',
    'The HTTP request sizes in bytes.',
  );
  const responseSize = summary(
    'notary_server_http_response_size_bytes',
    'The HTTP response sizes in bytes.',
  );

  return {
    observe(res, microseconds) {
      const operation = COUNTED.find((counted) => counted === res.locals.operation);
      if (operation === undefined) return;
      const code = String(statusOf(res));
      requests.inc({ code, method: res.req.method.toLowerCase(), operation });
      duration.observe({ operation }, microseconds);
      requestSize.observe({ operation }, sizeOf(res.req));
      responseSize.observe({ operation }, res.locals.written);
    },
    countPublishes: countPublishes(register),
    render: createRender(register, sources),
  };
}

const percentiles = [0.5, 0.9, 0.99];

type SummaryLabel = 'operation' | 'quantile';

/** A summary whose labels stand in alphabetical order, as scrapers of the old server saw them. */
class OperationSummary extends Summary<SummaryLabel> {
  override async get(): ReturnType<Summary<SummaryLabel>['get']> {
    const metric = await super.get();
    const values = metric.values.map(({ labels: { quantile, ...labels }, ...value }) => {
      return { ...value, labels: quantile === undefined ? labels : { ...labels, quantile } };
    });
    return { ...metric, values };
  }
}

/** About what came in: request line, headers and the announced body. */
function sizeOf({ method, url, rawHeaders, headers }: Reply['req']): number {
  const head = rawHeaders.reduce((size, text) => size + text.length, method.length + url.length);
  return head + Number(headers['content-length'] ?? 0);
}
