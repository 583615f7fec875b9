import { describe, expect, test } from 'vitest';
import { traceSettings } from './telemetry-settings.ts';

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
const everything = { ratio: 1, followsParent: true };

describe('traceSettings', () => {
  test.each([
    ['nothing is said', {}],
    ['the variables are empty', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_TRACES_EXPORTER: '' }],
    ['none is asked for', { ...endpoint, OTEL_TRACES_EXPORTER: 'none' }],
    ['OpenTelemetry is switched off', { ...endpoint, OTEL_SDK_DISABLED: 'TRUE' }],
    ['only a sampler is named', { OTEL_TRACES_SAMPLER: 'always_on' }],
  ])('wants no traces where %s', (_, environment) => {
    expect(traceSettings(environment)).toBeUndefined();
  });

  test.each([
    [endpoint],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }],
    [{ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }],
  ])('sends every trace to a collector for %j', (environment) => {
    expect(traceSettings(environment)).toEqual({ exporter: 'otlp', sampler: everything });
  });

  test('prints them where the console is named', () => {
    expect(traceSettings({ ...endpoint, OTEL_TRACES_EXPORTER: 'console' })?.exporter).toBe(
      'console',
    );
  });

  test.each([
    ['always_on', undefined, { ratio: 1, followsParent: false }],
    ['always_off', undefined, { ratio: 0, followsParent: false }],
    ['parentbased_always_off', undefined, { ratio: 0, followsParent: true }],
    ['traceidratio', '0.25', { ratio: 0.25, followsParent: false }],
    ['parentbased_traceidratio', '0.5', { ratio: 0.5, followsParent: true }],
    ['parentbased_traceidratio', undefined, everything],
  ])('samples as %s with %s says', (name, argument, sampler) => {
    const environment = { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument };

    expect(traceSettings({ ...endpoint, ...environment })?.sampler).toEqual(sampler);
  });

  test.each([
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, 'OTEL_TRACES_EXPORTER must be otlp, console or none'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 'OTEL_EXPORTER_OTLP_PROTOCOL must be http/json'],
    [{ OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' }, 'must be http/json, not grpc'],
    [{ OTEL_TRACES_SAMPLER: 'jaeger_remote' }, 'OTEL_TRACES_SAMPLER must not be jaeger_remote'],
    [
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' },
      'must be a number from 0 to 1',
    ],
  ])('refuses %j, which we do not have', (environment, message) => {
    expect(() => traceSettings({ ...endpoint, ...environment })).toThrow(message);
  });
});
