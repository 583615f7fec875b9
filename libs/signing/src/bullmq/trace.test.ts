import { describe, expect, test } from 'vitest';
import { carried, carrierOf } from './trace.ts';

describe('the trace that a job carries', () => {
  test('is what was given to it, and nothing where there is no trace', () => {
    const carrier = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };

    expect(carrierOf(carried(carrier))).toEqual(carrier);
    expect(carried({})).toEqual({});
  });

  test.each([
    undefined,
    null,
    {},
    { telemetry: null },
    { telemetry: { metadata: 7 } },
    { telemetry: { metadata: '{' } },
    { telemetry: { metadata: '[]' } },
    { telemetry: { metadata: '{"traceparent":{}}' } },
    { telemetry: { metadata: `{"traceparent":"${'a'.repeat(1_000)}"}` } },
  ])('is none where somebody wrote %j', (options) => {
    expect(carrierOf(options)).toEqual({});
  });
});
