import {
  createServer as createHttpServer,
  STATUS_CODES,
  type IncomingMessage,
  type RequestListener,
  type ServerOptions as HttpOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ConfigError, type TlsFiles } from '@scrivener/runtime';
import { TEXT } from './answer.ts';
import { answerTo, NotaryError } from './errors.ts';
import type { HotAnswer } from './hot/hot-answers.ts';

/** How long a client may take, in milliseconds. */
export interface TimeLimits {
  /** From the first byte to the end of the headers. */
  readonly headersMs: number;
  /** To the end of the body. */
  readonly requestMs: number;
  /** Between two requests. */
  readonly idleMs: number;
}

export interface ServerOptions {
  /** Plain HTTP where absent. */
  readonly tls?: TlsFiles | undefined;
  readonly times: TimeLimits;
  /** At once; more are closed as soon as they come. As many as can be where absent. */
  readonly connections?: number;
  /** Asked first: what it has answered is answered for good. */
  readonly hot?: HotAnswer | undefined;
}

export interface Server {
  /** Without a host: on every interface. Throws `ConfigError` where the address cannot be had. */
  listen(port: number, host?: string): Promise<AddressInfo>;
  /** Takes no new requests, finishes those in flight, closes all connections. */
  close(): Promise<void>;
}

/** Request line and headers; a GUN in a path may be long (WIRE §1.1). */
const MAX_HEADER_BYTES = 1024 * 1024;

/** Everything of HTTP that is below the routes (WIRE §1.1), on plain connections or over TLS. */
export function createServer(
  app: RequestListener,
  { tls, times, connections, hot }: ServerOptions,
): Server {
  const inFlight = new Map<Duplex, ServerResponse>();
  const sockets = new Set<Socket>();
  let draining = false;

  const serve: RequestListener = (req, res) => {
    // One that comes behind another on its connection has to wait for it.
    if (hot !== undefined && !draining && !inFlight.has(req.socket) && hot(req, res)) return;
    inFlight.set(req.socket, res);
    res.once('close', () => {
      if (inFlight.get(req.socket) === res) inFlight.delete(req.socket);
    });
    if (draining) res.setHeader('Connection', 'close');
    if (!answerBelowRoutes(req, res)) app(req, res);
  };

  const server = tls
    ? secureServer(tls, httpOptions(times), serve)
    : createHttpServer(httpOptions(times), serve);
  if (connections !== undefined) {
    // One too many is closed, not handed from one worker to the next until one has room.
    Object.assign(server, { maxConnections: connections, dropMaxConnection: true });
  }
  // A client that has said all it wanted to say still gets its answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('connection', (socket: Socket) => track(sockets, socket));
  server.on('secureConnection', (socket: Socket) => track(sockets, socket));
  // A request like any other: whoever reads the body says `100 Continue` first; the others answer
  // without it.
  server.on('checkContinue', (req, res) => server.emit('request', req, res));
  server.on('checkExpectation', (_req, res: ServerResponse) => res.writeHead(417, EMPTY).end());
  server.on('connect', (_req, socket: Duplex) => refuse(socket, 405, EMPTY));
  server.on('clientError', (error, socket) =>
    answerUnreadable(error, socket, inFlight.get(socket)),
  );

  return {
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', (error) => reject(listenError(error, `${host ?? ''}:${port}`)));
        server.listen(port, host, () => resolve(server.address() as AddressInfo));
      }),
    close: () =>
      new Promise((resolve) => {
        draining = true;
        server.close(() => resolve());
        for (const res of inFlight.values()) {
          if (!res.headersSent) res.setHeader('Connection', 'close');
        }
        const inUse = new Set([...inFlight.values()].map(({ req }) => peerOf(req.socket)));
        for (const socket of sockets) {
          // What is left of an answer that was given at once: it is sent, and that is the end.
          if (socket.writableLength === 0 || inFlight.has(socket)) continue;
          inUse.add(peerOf(socket));
          socket.destroySoon();
        }
        for (const socket of sockets) if (!inUse.has(peerOf(socket))) socket.destroy();
      }),
  };
}

/** In the words of WIRE §14.3. */
function listenError(error: Error, address: string): Error {
  const code = 'code' in error ? error.code : undefined;
  const reasons: Record<string, string> = {
    EADDRINUSE: 'address already in use',
    EADDRNOTAVAIL: 'cannot assign requested address',
    EACCES: 'permission denied',
  };
  const reason = reasons[String(code)] ?? error.message;
  return new ConfigError(`listen tcp ${address}: bind: ${reason}`, { cause: error });
}

function httpOptions({ headersMs, requestMs, idleMs }: TimeLimits): HttpOptions {
  return {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: Math.min(headersMs, requestMs),
    requestTimeout: requestMs,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.min(5000, Math.ceil(Math.min(headersMs, requestMs) / 4)),
    // A request without it gets our own answer.
    requireHostHeader: false,
  };
}

/** The same for a connection and for what goes over it in TLS, which are two sockets. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function track(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
}

const EMPTY = { 'Content-Length': '0' };

/** What Go's HTTP server refused before any handler saw it. */
function answerBelowRoutes(req: IncomingMessage, res: ServerResponse): boolean {
  const { httpVersion, url = '' } = req;
  if ((httpVersion !== '1.0' && httpVersion !== '1.1') || !isTarget(url)) {
    respond(res, 400, '400 Bad Request');
  } else if (httpVersion === '1.1' && req.headersDistinct['host']?.length !== 1) {
    respond(res, 400, '400 Bad Request: missing required Host header');
  } else if ((req.headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked') {
    respond(res, 501, 'Unsupported transfer encoding');
  } else if (req.method === 'OPTIONS' && url === '*') {
    res.writeHead(200, EMPTY).end();
  } else {
    return false;
  }
  return true;
}

/** A path, a star, or a whole URL: Express would answer anything else by itself. */
function isTarget(target: string): boolean {
  return target.startsWith('/') || target === '*' || URL.canParse(target);
}

function respond(res: ServerResponse, status: number, text: string): void {
  const headers = { 'Content-Type': TEXT, 'Content-Length': text.length, Connection: 'close' };
  res.writeHead(status, headers).end(text);
}

/** Answers what could not be read as HTTP, or not in time. Nothing else is heard on that connection. */
function answerUnreadable(error: Error, socket: Duplex, res: ServerResponse | undefined): void {
  const code = 'code' in error ? error.code : undefined;
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy();
  } else if (res?.req.complete) {
    // That request is not to blame for what came behind it.
    if (!res.headersSent) res.setHeader('Connection', 'close');
    res.once('close', () => socket.destroy());
  } else if (res?.headersSent) {
    socket.destroy();
  } else if (res !== undefined) {
    // The head of this request was fine: its body is what broke off.
    const status = code === TIMED_OUT ? 408 : 400;
    const { body } = answerTo(new NotaryError('MALFORMED_UPLOAD', { status }));
    refuse(socket, status, { 'Content-Type': 'application/json; charset=utf-8' }, body);
  } else if (code === 'HPE_INVALID_METHOD' && isRequestLine(error)) {
    // Node knows a list of methods; for WIRE §1.2 any other word is a method, too.
    refuse(socket, 405, EMPTY);
  } else {
    const [status, text] = unreadable[String(code)] ?? [400, '400 Bad Request'];
    refuse(socket, status, { 'Content-Type': TEXT }, text);
  }
}

const TIMED_OUT = 'ERR_HTTP_REQUEST_TIMEOUT';

const unreadable: Readonly<Record<string, readonly [status: number, text: string]>> = {
  HPE_HEADER_OVERFLOW: [431, '431 Request Header Fields Too Large'],
  HPE_INVALID_TRANSFER_ENCODING: [501, 'Unsupported transfer encoding'],
  [TIMED_OUT]: [408, '408 Request Timeout'],
};

function isRequestLine(error: Error): boolean {
  if (!('rawPacket' in error && Buffer.isBuffer(error.rawPacket))) return false;
  const bytesParsed = 'bytesParsed' in error ? Number(error.bytesParsed) : 0;
  const line = error.rawPacket.subarray(error.rawPacket.lastIndexOf('\n', bytesParsed) + 1);
  return /^[\w!#$%&'*+.^`|~-]+ \S+ HTTP\/1\.[01]\r?\n/.test(line.toString('latin1'));
}

/** How long a refused client may take to read the answer, in milliseconds. */
const PARTING = 2000;

/** Writes an answer past Node's HTTP, and closes; reads on for a moment so that the answer arrives. */
function refuse(
  socket: Duplex,
  status: number,
  headers: Readonly<Record<string, string>>,
  body = '',
): void {
  const lines = Object.entries({ ...headers, Connection: 'close', Date: new Date().toUTCString() });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${body}`);
  socket.resume();
  setTimeout(() => socket.destroy(), PARTING).unref();
}

function secureServer(tls: TlsFiles, options: HttpOptions, serve: RequestListener): HttpsServer {
  const server = createHttpsServer(
    {
      ...options,
      cert: tls.cert,
      key: tls.key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: options.headersTimeout ?? 0,
      ...(tls.clientCa !== undefined && { ca: tls.clientCa, requestCert: true }),
    },
    serve,
  );
  answerPlainHttp(server, options.headersTimeout ?? 0);
  return server;
}

const PLAIN_HTTP =
  'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n';

/**
 * A TLS record never begins with a letter, a request line always does. So the first byte of a new
 * connection says whether somebody forgot the `s` of `https`; only then is it read outside of TLS.
 */
function answerPlainHttp(server: HttpsServer, timeoutMs: number): void {
  const handshakes = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(timeoutMs, () => socket.destroy());
    socket.once('readable', () => {
      const first: Buffer | null = socket.read(1);
      if (first === null) return;
      socket.setTimeout(0).removeAllListeners('timeout');
      if (/[A-Za-z]/.test(first.toString('latin1'))) {
        socket.resume().end(PLAIN_HTTP);
        return;
      }
      socket.unshift(first);
      for (const handshake of handshakes) handshake.call(server, socket);
    });
  });
}
