import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

/** One span, as far as tests look at it. */
export interface CollectedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentSpanId: string;
  /** Values of string attributes. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Takes spans as any collector of OpenTelemetry does, by OTLP in JSON over HTTP. */
export interface Collector {
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  close(): Promise<void>;
}

const attributes = z
  .array(
    z.object({ key: z.string(), value: z.looseObject({ stringValue: z.string().optional() }) }),
  )
  .default([]);
const request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().default(''),
              attributes,
            }),
          ),
        }),
      ),
    }),
  ),
});

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const server = createServer((req, res) => {
    const take = async () => {
      for (const { resource, scopeSpans } of request.parse(await json(req)).resourceSpans) {
        const service = texts(resource.attributes)['service.name'] ?? '';
        for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
          spans.push({ ...span, service, attributes: texts(span.attributes) });
        }
      }
      res.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    };
    take().catch(() => res.writeHead(400).end());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function texts(given: z.output<typeof attributes>): Readonly<Record<string, string>> {
  return Object.fromEntries(given.map(({ key, value }) => [key, value.stringValue ?? '']));
}
