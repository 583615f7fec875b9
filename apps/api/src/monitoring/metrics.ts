import type { Group } from '@scrivener/runtime';
import {
  createRegisters,
  renderGroup,
  SpreadSummary,
  type MetricSource,
  type Registers,
} from '@scrivener/runtime/monitoring';
import { Counter } from 'prom-client';
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

export interface MetricsOptions {
  readonly registers?: Registers;
  readonly sources?: readonly MetricSource[];
  readonly group?: Group | undefined;
}

/** `sources` are asked anew for each scrape. What is rendered is of all of `group`, where there is one. */
export function createMetrics({
  registers: all = createRegisters(),
  sources = [],
  group,
}: MetricsOptions = {}): Metrics {
  const register = all.counts;
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
  const summary = (name: string, help: string) =>
    new SpreadSummary({ name, help, label: 'operation', values: COUNTED, register });
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
    render: renderGroup(all, sources, group),
  };
}

function countedOf(operation: Operation | undefined): Counted | undefined {
  return COUNTED.find((counted) => counted === operation);
}

/** About what came in: request line, headers and the announced body. */
function sizeOf({ method, url, rawHeaders, headers }: Reply['req']): number {
  const head = rawHeaders.reduce((size, text) => size + text.length, method.length + url.length);
  return head + Number(headers['content-length'] ?? 0);
}
