import { createRegistry, createRender, type MetricSource } from '@scrivener/runtime/monitoring';
import { Counter, Summary, type Registry } from 'prom-client';
import type { Reply } from '../answer.ts';
import type { Operation } from '../paths.ts';
import { statusOf } from './request-log.ts';
import { countPublishes } from './signing-metrics.ts';
import { Spread } from './spread.ts';

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

type Counted = (typeof COUNTED)[number];

/** What the server counts about itself (WIRE §12). */
export interface Metrics {
  /** Counts a request that is over; `microseconds` since it came in. */
  observe(res: Reply, microseconds: number): void;
  /** Counts a GET that was answered from memory: the same, for next to nothing. */
  observeKept(operation: Operation, answered: Answered): void;
  /** `publish` as it was, with its outcomes counted. */
  countPublishes<Command, Result>(
    publish: (command: Command) => Promise<Result>,
  ): (command: Command) => Promise<Result>;
  /** Everything in Prometheus' text format. */
  render(): Promise<string>;
}

/** A request that is over. */
interface Answered {
  /** As `statusOf` has it. */
  readonly code: number;
  readonly microseconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** `sources` are asked anew for each scrape. */
export function createMetrics(
  register: Registry = createRegistry(),
  sources: readonly MetricSource[] = [],
): Metrics {
  const registers = [register];
  /** GETs from memory by operation and code, since the last scrape. */
  const kept = new Map<Counted, Map<number, number>>();
  const requests = new Counter({
    name: 'notary_server_http_requests_total',
    help: 'Total number of HTTP requests made.',
    labelNames: ['code', 'method', 'operation'],
    registers,
    collect() {
      for (const [operation, codes] of kept) {
        for (const [code, count] of codes) {
          this.inc({ code: String(code), method: 'get', operation }, count);
        }
      }
      kept.clear();
    },
  });
  const duration = new OperationSummary(
    'notary_server_http_request_duration_microseconds',
    'The HTTP request latencies in microseconds.',
    registers,
  );
  const requestSize = new OperationSummary(
    'notary_server_http_request_size_bytes',
    'The HTTP request sizes in bytes.',
    registers,
  );
  const responseSize = new OperationSummary(
    'notary_server_http_response_size_bytes',
    'The HTTP response sizes in bytes.',
    registers,
  );
  const summarise = (
    operation: Counted,
    { microseconds, requestBytes, responseBytes }: Omit<Answered, 'code'>,
  ) => {
    duration.add(operation, microseconds);
    requestSize.add(operation, requestBytes);
    responseSize.add(operation, responseBytes);
  };

  return {
    observe(res, microseconds) {
      const operation = countedOf(res.locals.operation);
      if (operation === undefined) return;
      const code = String(statusOf(res));
      requests.inc({ code, method: res.req.method.toLowerCase(), operation });
      const [requestBytes, responseBytes] = [sizeOf(res.req), res.locals.written];
      summarise(operation, { microseconds, requestBytes, responseBytes });
    },
    observeKept(named, answered) {
      const operation = countedOf(named);
      if (operation === undefined) return;
      const codes = kept.get(operation) ?? new Map<number, number>();
      kept.set(operation, codes.set(answered.code, (codes.get(answered.code) ?? 0) + 1));
      summarise(operation, answered);
    },
    countPublishes: countPublishes(register),
    render: createRender(register, sources),
  };
}

function countedOf(operation: Operation | undefined): Counted | undefined {
  return COUNTED.find((counted) => counted === operation);
}

const QUANTILES = [0.5, 0.9, 0.99];

type SummaryLabel = 'operation' | 'quantile';

/** A summary for each operation from the start, with labels in alphabetical order, as scrapers of the old server saw them. */
class OperationSummary extends Summary<SummaryLabel> {
  readonly #spreads = new Map(COUNTED.map((operation) => [operation, new Spread()]));
  readonly #family: string;

  constructor(name: string, help: string, registers: Registry[]) {
    super({ name, help, labelNames: ['operation'], registers });
    this.#family = name;
  }

  add(operation: Counted, value: number): void {
    this.#spreads.get(operation)?.add(value);
  }

  override async get(): ReturnType<Summary<SummaryLabel>['get']> {
    const values = [...this.#spreads].flatMap(([operation, spread]) => [
      ...QUANTILES.map((quantile) => {
        return { labels: { operation, quantile }, value: spread.quantile(quantile) };
      }),
      { metricName: `${this.#family}_sum`, labels: { operation }, value: spread.sum },
      { metricName: `${this.#family}_count`, labels: { operation }, value: spread.count },
    ]);
    return { ...(await super.get()), values };
  }
}

/** About what came in: request line, headers and the announced body. */
function sizeOf({ method, url, rawHeaders, headers }: Reply['req']): number {
  const head = rawHeaders.reduce((size, text) => size + text.length, method.length + url.length);
  return head + Number(headers['content-length'] ?? 0);
}
