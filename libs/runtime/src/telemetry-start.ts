import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { context, diag, DiagLogLevel, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import {
  defaultResource,
  detectResources,
  envDetector,
  hostDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import { register } from 'import-in-the-middle/register-hooks.mjs';
import { isWatched } from './quiet-paths.ts';
import type { SamplerSettings, TraceSettings } from './telemetry-settings.ts';
import { flushesWith } from './tracing.ts';

/** Spans leave in batches this often, in milliseconds; what a process has at its end leaves then. */
const EXPORT_INTERVAL = 2_000;

/** Everything that makes spans, and the way they leave. Comes before the modules that it watches. */
export function startTraces({ exporter, sampler }: TraceSettings): void {
  listenToComplaints();
  const provider = new TracerProvider({
    resource: resource(),
    sampler: samplerFrom(sampler),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter:
          exporter === 'otlp' ? telling(new OTLPTraceExporter()) : new ConsoleSpanExporter(),
        scheduledDelayMillis: EXPORT_INTERVAL,
      }),
    ],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  flushesWith(() => provider.forceFlush());
  watchModules();
}

function watchModules(): void {
  // Only those: every other module is loaded as it always was.
  register({ include: ['http', 'https', 'node:http', 'node:https', 'pg', 'pg-pool', 'ioredis'] });
  registerInstrumentations({
    instrumentations: [
      new HttpInstrumentation({
        ignoreIncomingRequestHook: ({ url }) => !isWatched(url ?? ''),
        requireParentforOutgoingSpans: true,
      }),
      // What runs all the time, such as a look at the checkpoint, is nobody's request.
      new PgInstrumentation({ requireParentSpan: true, ignoreConnectSpans: true }),
      new IORedisInstrumentation({
        requireParentSpan: true,
        // The arguments are whole jobs.
        dbStatementSerializer: (command) => command,
      }),
    ],
  });
}

function resource() {
  const detected = detectResources({ detectors: [hostDetector] });
  const ours = resourceFromAttributes({
    'service.name': programName(),
    'process.pid': process.pid,
  });
  // The environment has the last word.
  const environment = detectResources({ detectors: [envDetector] });
  return defaultResource().merge(detected).merge(ours).merge(environment);
}

/** The name of the command, or else of the package, that the started file belongs to. */
function programName(): string {
  try {
    let folder = dirname(realpathSync(process.argv[1] ?? '.'));
    for (; folder !== dirname(folder); folder = dirname(folder)) {
      const name = nameIn(join(folder, 'package.json'));
      if (name !== undefined) return name;
    }
  } catch {
    // No file: an expression on the command line.
  }
  return 'scrivener';
}

function nameIn(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const { name = '', bin = {} } = JSON.parse(text) as { name?: string; bin?: object };
  return Object.keys(bin)[0] ?? name.replace(/^@[^/]*\//, '');
}

function samplerFrom({ ratio, followsParent }: SamplerSettings): Sampler {
  const root = new TraceIdRatioBasedSampler(ratio);
  return followsParent ? new ParentBasedSampler({ root }) : root;
}

/** Says once in each outage that the collector is away, and that it is back. */
function telling(exporter: SpanExporter): SpanExporter {
  let away = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const failed = result.code === ExportResultCode.FAILED;
        if (failed && !away) warn(`spans are lost: ${result.error?.message ?? 'nobody says why'}`);
        if (!failed && away) warn('spans reach their collector again');
        away = failed;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
}

/** What OpenTelemetry itself has to complain about, each thing once. */
function listenToComplaints(): void {
  const told = new Set<string>();
  const tell = (message: string) => {
    if (!told.has(message)) warn(message);
    told.add(message);
  };
  diag.setLogger(
    { error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN },
  );
}

function ignore(): void {}

/** The logger of the program comes later, and with it all that it loads. */
function warn(message: string): void {
  const line = { level: 'warning', msg: `traces: ${message}`, time: new Date().toISOString() };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}
