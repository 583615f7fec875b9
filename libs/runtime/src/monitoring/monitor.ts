import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConfigError } from '../config-error.ts';
import type { Troubles } from './checks.ts';

export interface Monitor {
  /** What is wrong with this process and what it depends on. */
  readonly health: () => Promise<Troubles>;
  /** Everything in Prometheus' text format. */
  readonly metrics: () => Promise<string>;
}

export interface MonitorServer {
  readonly port: number;
  /** From now on it is alive and not ready. */
  drain(): void;
  close(): Promise<void>;
}

/** A header or a request that takes longer than that is no probe, in milliseconds. */
const PATIENCE = 5_000;

/**
 * What a program that serves nobody says about itself, over plain HTTP: `/metrics`, and under
 * `/_notary_server/` `health`, `ready` and `live`, as the server does. Throws `ConfigError` where the
 * address cannot be had.
 */
export async function serveMonitor(
  address: { readonly host?: string; readonly port: number },
  monitor: Monitor,
): Promise<MonitorServer> {
  let draining = false;
  const ready = async () => (draining ? DRAINING : monitor.health());
  const server = createServer(
    { headersTimeout: PATIENCE, requestTimeout: PATIENCE, keepAliveTimeout: 2 * PATIENCE },
    (req, res) => {
      void respond(req.method ?? '', req.url ?? '', res, { ...monitor, ready });
    },
  );
  await listening(server, address);
  return {
    port: (server.address() as AddressInfo).port,
    drain: () => {
      draining = true;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a probe for readiness is told once a process has been asked to stop. */
export const DRAINING: Troubles = { draining: 'this process is stopping' };

function listening(
  server: Server,
  { host, port }: { readonly host?: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(new ConfigError(`metrics_addr: ${error.message}`, { cause: error }));
    });
    server.listen(port, host, () => resolve());
  });
}

type Pages = Monitor & { readonly ready: () => Promise<Troubles> };

async function respond(
  method: string,
  target: string,
  res: ServerResponse,
  pages: Pages,
): Promise<void> {
  try {
    if (method !== 'GET' && method !== 'HEAD') {
      res.writeHead(405).end();
      return;
    }
    const [path = ''] = target.split('?', 1);
    if (path === '/metrics') {
      send(res, 200, 'text/plain; version=0.0.4', await pages.metrics());
    } else if (path === '/_notary_server/health') {
      sendTroubles(res, await pages.health());
    } else if (path === '/_notary_server/ready') {
      sendTroubles(res, await pages.ready());
    } else if (path === '/_notary_server/live') {
      sendTroubles(res, {});
    } else {
      res.writeHead(404).end();
    }
  } catch {
    if (!res.headersSent) res.writeHead(500).end();
  }
}

function sendTroubles(res: ServerResponse, troubles: Troubles): void {
  const status = Object.keys(troubles).length === 0 ? 200 : 503;
  send(res, status, 'application/json; charset=utf-8', JSON.stringify(troubles));
}

function send(res: ServerResponse, status: number, type: string, body: string): void {
  const headers = { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) };
  res.writeHead(status, headers).end(body);
}
