/** What OpenTelemetry's variables say about traces. */
export interface TraceSettings {
  readonly exporter: 'otlp' | 'console';
  readonly sampler: SamplerSettings;
}

export interface SamplerSettings {
  /** Of new traces, between 0 and 1. */
  readonly ratio: number;
  /** Whether a trace that somebody else began is kept or dropped as that one decided. */
  readonly followsParent: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The part of OpenTelemetry's variables that we follow; `undefined` where no traces are wanted, which
 * is so unless an exporter or an endpoint is named. Throws an `Error` for the operator where they ask
 * for what we do not have: whoever asks for traces must not get none without a word.
 */
export function traceSettings(environment: Environment): TraceSettings | undefined {
  if (environment['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined;
  const exporter = environment['OTEL_TRACES_EXPORTER'] || impliedExporter(environment);
  if (exporter === 'none') return undefined;
  if (exporter !== 'otlp' && exporter !== 'console') {
    throw new Error(`OTEL_TRACES_EXPORTER must be otlp, console or none, not ${exporter}`);
  }
  refuseProtocols(environment);
  return { exporter, sampler: samplerSettings(environment) };
}

function impliedExporter(environment: Environment): 'otlp' | 'none' {
  const endpoint =
    environment['OTEL_EXPORTER_OTLP_ENDPOINT'] || environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  return endpoint ? 'otlp' : 'none';
}

function refuseProtocols(environment: Environment): void {
  const protocol =
    environment['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || environment['OTEL_EXPORTER_OTLP_PROTOCOL'];
  if (!protocol || protocol === 'http/json') return;
  throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL must be http/json, not ${protocol}`);
}

function samplerSettings(environment: Environment): SamplerSettings {
  const name = environment['OTEL_TRACES_SAMPLER'] || 'parentbased_always_on';
  const [, parent, kind] = /^(parentbased_)?(always_on|always_off|traceidratio)$/.exec(name) ?? [];
  if (kind === undefined) throw new Error(`OTEL_TRACES_SAMPLER must not be ${name}`);
  const followsParent = parent !== undefined;
  if (kind !== 'traceidratio') return { ratio: kind === 'always_on' ? 1 : 0, followsParent };
  const ratio = Number(environment['OTEL_TRACES_SAMPLER_ARG'] || '1');
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new Error('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1');
  }
  return { ratio, followsParent };
}
