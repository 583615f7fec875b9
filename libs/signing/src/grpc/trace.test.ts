import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { MemoryKeyStore } from '../memory/index.ts';
import { freshGun } from '../testing/requests.ts';
import { createRemoteSigner, serveGrpcSigner } from './index.ts';
import { makeCertificates } from './testing/certificates.ts';

const exporter = new InMemorySpanExporter();

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const spanProcessors = [new SimpleSpanProcessor({ exporter })];
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors }));
});
afterAll(() => {
  trace.disable();
  propagation.disable();
  context.disable();
});
beforeEach(() => exporter.reset());

const spans = () => exporter.getFinishedSpans();

async function askForKey(ask: (work: () => Promise<unknown>) => Promise<unknown>): Promise<void> {
  const { ca, server, client } = await makeCertificates();
  const served = await serveGrpcSigner({
    keys: new MemoryKeyStore(),
    address: { host: 'localhost', port: 0 },
    tls: { ...server, clientCa: ca },
    onError: () => {},
  });
  const signer = createRemoteSigner({
    hostname: 'localhost',
    port: served.port,
    tls: { ca, ...client },
  });
  try {
    await ask(() => signer.createKey({ gun: freshGun(), role: 'timestamp', algorithm: 'ed25519' }));
  } finally {
    await signer.close();
    await served.close();
  }
}

test('a call over gRPC is done in the trace of whoever asked', async () => {
  await askForKey((work) =>
    trace.getTracer('test').startActiveSpan('request', async (span) => {
      await work();
      span.end();
    }),
  );

  expect(spans().map(({ name }) => name)).toEqual([
    'do KeyManagement/CreateKey',
    'ask KeyManagement/CreateKey',
    'request',
  ]);
  const [done, asked, request] = spans();
  expect(done?.parentSpanContext?.spanId).toBe(asked?.spanContext().spanId);
  expect(asked?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
  expect(new Set(spans().map((span) => span.spanContext().traceId)).size).toBe(1);
});

test('a call that belongs to no trace begins none', async () => {
  await askForKey((work) => work());

  expect(spans()).toEqual([]);
});
