import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { SecureContextOptions } from 'node:tls';
import { memoryEventStore } from '@scrivener/events/memory';
import { runProjection } from '@scrivener/read-model';
import { memoryReadModel } from '@scrivener/read-model/memory';
import { createLogger, type TlsFiles } from '@scrivener/runtime';
import { createMemorySigner } from '@scrivener/signing/memory';
import { DEFAULT_GUARD } from '@scrivener/tuf';
import { ensureCertificates } from '../../../../fixtures/certificates.ts';
import { createAdmission } from '../admission/admission.ts';
import type { RecallPuller } from '../auth/authenticate.ts';
import { createApp, type Deps } from '../app.ts';
import { createFeed } from '../history/feed.ts';
import { createPastTurnstile, createStreams } from '../history/streams.ts';
import { createMetrics } from '../monitoring/metrics.ts';
import { createHotAnswers, type HotAnswer } from '../hot/hot-answers.ts';
import { createKeptFiles, keepNothing } from '../hot/kept-files.ts';
import { createServer, type TimeLimits } from '../server.ts';
import { createUseCases } from '../use-cases.ts';

export interface TestServerOptions {
  /** Instead of those that are composed here. */
  readonly deps?: Partial<Deps>;
  /** `mutual`: clients must show a certificate; `request` does. */
  readonly tls?: boolean | 'mutual';
  /** Whether what is in memory is answered before Express sees it; so it is where absent. */
  readonly hot?: boolean;
  /** Who is let in there, where `deps` ask for tokens. */
  readonly recallPuller?: RecallPuller;
  readonly times?: Partial<TimeLimits>;
  /** The clock of the use cases. */
  readonly now?: () => Date;
}

/** An answer as it came, but for `Date` and `Connection`, which every answer may have. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RequestOptions {
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
}

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly deps: Deps;
  /** Sends a request whose path is taken as it stands. */
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  /** Sends these bytes over TCP; resolves with all that comes until the server closes. */
  raw(bytes: string): Promise<string>;
  /** Opens a TCP connection, for tests that send bit by bit. */
  connect(): Socket;
  close(): Promise<void>;
}

/** The whole API in this process: memory store, local signer, HTTP on a free port. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { now = () => new Date(), times = {} } = options;
  const stopProjecting = new AbortController();
  const deps: Deps = { ...composeInMemory(now, stopProjecting.signal), ...options.deps };
  const tls = options.tls ? await makeCertificates(options.tls === 'mutual') : undefined;
  const server = createServer(createApp(deps), {
    tls: tls?.files,
    hot: options.hot === false ? undefined : hotOf(deps, options.recallPuller),
    times: { headersMs: 60_000, requestMs: 300_000, idleMs: 5_000, ...times },
  });
  const { port } = await server.listen(0, '127.0.0.1');

  return {
    url: `${tls ? 'https' : 'http'}://localhost:${port}`,
    port,
    deps,
    request: (method, path, { headers = {}, body } = {}) =>
      new Promise((resolve, reject) => {
        const request = tls ? httpsRequest : httpRequest;
        const target = {
          host: 'localhost',
          port,
          method,
          path,
          headers,
          agent: false,
          ...tls?.client,
        };
        request(target, (message) => resolve(answerFrom(message)))
          .on('error', reject)
          .end(body);
      }),
    raw: (bytes) => {
      const socket = connect(port, '127.0.0.1');
      socket.write(bytes);
      return text(socket);
    },
    connect: () => connect(port, '127.0.0.1'),
    close: async () => {
      await deps.feed.close();
      await server.close();
      stopProjecting.abort();
    },
  };
}

/** As the program does it; nothing is answered before Express where only that asks for tokens. */
function hotOf(deps: Deps, recallPuller?: RecallPuller): HotAnswer | undefined {
  const { kept = keepNothing, authenticate } = deps;
  if (authenticate !== undefined && recallPuller === undefined) return undefined;
  return createHotAnswers({ ...deps, kept, recallPuller });
}

function composeInMemory(now: () => Date, signal: AbortSignal): Deps {
  const logger = createLogger('fatal');
  const events = memoryEventStore();
  const readModel = memoryReadModel(events);
  const signer = createMemorySigner();
  const onError = (err: unknown) => logger.fatal({ err }, 'projection failed');
  void runProjection(readModel, events, { signal, onError });
  const algorithm = 'ed25519';
  const caching = { current: 300, consistent: 2_592_000 };
  const streams = createStreams(events);
  return {
    past: {
      events,
      streams,
      caching,
      now,
      timeoutMs: 10_000,
      turnstile: createPastTurnstile({ places: 2, waiting: 16, waitMs: 2_000 }),
    },
    feed: createFeed(events, streams, 3),
    ...createUseCases({
      events,
      readModel,
      signer,
      algorithm,
      logger,
      now,
      timeoutMs: 10_000,
      guard: DEFAULT_GUARD,
    }),
    readModel,
    kept: createKeptFiles((memory) => readModel.readers.join(memory), { bytes: 1024 * 1024, now }),
    expiries: readModel.expiries,
    health: async () => ({}),
    ready: async () => ({}),
    now,
    logger,
    metrics: createMetrics(),
    caching,
    gunPrefixes: [],
    admission: createAdmission({
      uploads: 100,
      uploadsBytes: 1024 * 1024,
      changes: 100,
      waiting: 100,
      waitMs: 1_000,
    }),
    limits: {
      uploadBytes: 1024 * 1024,
      parts: 100,
      parsedBytes: 1024 * 1024,
      partHeaderBytes: 16 * 1024,
    },
  };
}

async function makeCertificates(
  mutual: boolean,
): Promise<{ files: TlsFiles; client: SecureContextOptions }> {
  const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
  try {
    await ensureCertificates(new Date(), folder);
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');
    const ca = read('root-ca.crt');
    const pair = (name: string) => ({ cert: read(`${name}.crt`), key: read(`${name}.key`) });
    return {
      files: { ...pair('notary-server'), ...(mutual && { clientCa: ca }) },
      client: { ca, ...(mutual && pair('notary-signer')) },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function answerFrom(message: IncomingMessage): Promise<Answer> {
  const { date, connection: _, ...headers } = message.headersDistinct;
  if (date === undefined) throw new Error('every response has a Date');
  const entries = Object.entries(headers).map(([name, values]) => [
    name,
    (values ?? []).join(', '),
  ]);
  const body = await text(message);
  return { status: message.statusCode ?? 0, headers: Object.fromEntries(entries), body };
}
