import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay, type Histogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { ConfigError } from './config-error.ts';
import { createProfiler, ProfilingError, type Profiler } from './profiles.ts';
import { reasonOf } from './tls-files.ts';

/** What a program shows of itself to whoever debugs it. */
export interface Debug {
  /** Adds a member to `/debug/vars`; `figures` is asked at every look. */
  show(name: string, figures: () => unknown): void;
  /** What `/debug/health` says: each failing check with its reason; nothing fails where it is not set. */
  checkHealth(check: () => Promise<Readonly<Record<string, string>>>): void;
}

/** What one wants to know of a pool of connections, under the names that pg has for it. */
interface PoolCounts {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

/** Shows a pool of connections, once there is one. */
export function showPool(debug: Debug, name: string): (pool: PoolCounts) => void {
  return (pool) => {
    debug.show(name, () => {
      const { totalCount: connections, idleCount: idle, waitingCount: waiting } = pool;
      return { connections, idle, waiting };
    });
  };
}

export interface DebugServer extends Debug {
  /** Throws `ConfigError` where the port cannot be had. */
  listen(port?: number): Promise<number>;
  close(): Promise<void>;
}

/** For this machine only: whoever can ask may see what is in memory, keys included. */
const HOST = '127.0.0.1';
const PORT = 8080;
/** Milliseconds that a program may take for its figures. */
const FIGURES_LIMIT = 2_000;
/** Milliseconds between two looks at the event loop, which are in what is measured. */
const DELAY_RESOLUTION = 20;
/** Seconds of a profile, as in Go; and the most. */
const PROFILE_SECONDS = 30;
const MOST_SECONDS = 600;

/** The listener of `-debug` (WIRE §14.1). Until `listen` it only remembers what there is to show. */
export function createDebugServer(): DebugServer {
  const shown = new Map<string, () => unknown>();
  let health: (() => Promise<Readonly<Record<string, string>>>) | undefined;
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION });
  let profiler: Profiler | undefined;

  const routes: Readonly<Record<string, (answer: ServerResponse, query: string) => Promise<void>>> =
    {
      '/debug/vars': async (answer) => {
        const figures = [...shown].map(async ([name, ask]) => [name, await bounded(ask)] as const);
        sendJson(answer, 200, {
          ...ownFigures(delay),
          ...Object.fromEntries(await Promise.all(figures)),
        });
      },
      '/debug/health': async (answer) => {
        const failing = (await health?.()) ?? {};
        sendJson(answer, Object.keys(failing).length === 0 ? 200 : 503, failing);
      },
      '/debug/pprof/': async (answer) => {
        sendText(answer, 200, '/debug/pprof/profile?seconds=30\n/debug/pprof/heap\n');
      },
      '/debug/pprof/profile': async (answer, query) => {
        const seconds = Number(new URLSearchParams(query).get('seconds') ?? PROFILE_SECONDS);
        if (!(seconds > 0 && seconds <= MOST_SECONDS)) {
          sendText(answer, 400, `seconds must be more than 0 and at most ${MOST_SECONDS}\n`);
          return;
        }
        sendProfile(answer, await profiler?.time(seconds * 1_000));
      },
      '/debug/pprof/heap': async (answer) => sendProfile(answer, await profiler?.heap()),
    };

  const server = createServer((request, answer) => {
    const [path = '', query = ''] = (request.url ?? '').split('?');
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (!isLocal(request)) sendText(answer, 403, 'ask localhost\n');
    else if (request.method !== 'GET') sendText(answer, 405, 'only GET\n');
    else if (route === undefined) sendText(answer, 404, '404 page not found\n');
    else route(answer, query).catch((error: unknown) => sendFailure(answer, error));
  });

  return {
    show: (name, figures) => void shown.set(name, figures),
    checkHealth: (check) => {
      health = check;
    },
    listen: async (port = PORT) => {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (error) => reject(listenError(port, error)));
        server.listen({ port, host: HOST, exclusive: true }, resolve);
      });
      server.unref();
      delay.enable();
      profiler = await createProfiler();
      return (server.address() as AddressInfo).port;
    },
    close: () =>
      new Promise((resolve) => {
        delay.disable();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * A web page may name its own host `localhost`'s address and so have a browser here ask for it; then
 * the request names that host.
 */
function isLocal({ headers }: IncomingMessage): boolean {
  return /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/.test(headers.host ?? '');
}

function ownFigures(delay: Histogram): Record<string, unknown> {
  const { user, system } = process.cpuUsage();
  return {
    process: {
      pid: process.pid,
      version: process.version,
      uptimeSeconds: process.uptime(),
      cpuSeconds: { user: user / 1e6, system: system / 1e6 },
    },
    eventLoopDelayMs: {
      mean: inMs(delay.mean),
      p50: inMs(delay.percentile(50)),
      p99: inMs(delay.percentile(99)),
      max: inMs(delay.max),
    },
    memory: process.memoryUsage(),
    heap: getHeapStatistics(),
  };
}

/** NaN, which JSON has no word for, where nothing was measured yet. */
function inMs(nanoseconds: number): number | null {
  return Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e6 - DELAY_RESOLUTION) : null;
}

async function bounded(ask: () => unknown): Promise<unknown> {
  const limit = new AbortController();
  const late = sleep(FIGURES_LIMIT, { error: 'no answer in time' }, { signal: limit.signal });
  try {
    return await Promise.race([(async () => ask())(), late]);
  } catch (error) {
    return { error: reasonOf(error) };
  } finally {
    limit.abort();
    late.catch(() => {});
  }
}

function listenError(port: number, error: Error): ConfigError {
  const isTaken = 'code' in error && error.code === 'EADDRINUSE';
  const reason = isTaken ? 'address already in use' : error.message;
  return new ConfigError(`debug listener: listen tcp ${HOST}:${port}: bind: ${reason}`, {
    cause: error,
  });
}

function sendJson(answer: ServerResponse, status: number, body: unknown): void {
  answer.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' });
  answer.end(`${JSON.stringify(body, undefined, 2)}\n`);
}

function sendText(answer: ServerResponse, status: number, text: string): void {
  answer.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text);
}

function sendProfile(answer: ServerResponse, profile: Uint8Array | undefined): void {
  if (profile === undefined) sendText(answer, 503, 'not ready\n');
  else answer.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(profile);
}

function sendFailure(answer: ServerResponse, error: unknown): void {
  const status = error instanceof ProfilingError ? 409 : 500;
  sendText(answer, status, `${reasonOf(error)}\n`);
}
