import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

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

/** The part of OTLP that tests look at. */
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Attributes };
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[];
  }[];
}

interface SentSpan extends Pick<CollectedSpan, 'name' | 'traceId' | 'spanId'> {
  readonly parentSpanId?: string;
  readonly attributes: Attributes;
}

type Attributes = readonly { readonly key: string; readonly value: { stringValue?: string } }[];

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const server = createServer((req, res) => {
    const take = async () => {
      const { resourceSpans } = (await json(req)) as Export;
      for (const { resource, scopeSpans } of resourceSpans) {
        const service = texts(resource.attributes)['service.name'] ?? '';
        for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
          const { name, traceId, spanId, parentSpanId = '', attributes } = span;
          spans.push({
            service,
            name,
            traceId,
            spanId,
            parentSpanId,
            attributes: texts(attributes),
          });
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

function texts(given: Attributes): Readonly<Record<string, string>> {
  return Object.fromEntries(given.map(({ key, value }) => [key, value.stringValue ?? '']));
}
