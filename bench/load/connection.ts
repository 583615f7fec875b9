import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** How long an answer may take, in milliseconds; longer is a failure. */
const PATIENCE = 60_000;

/**
 * One keep-alive connection over TLS, and one request on it at a time. Node's own client costs as
 * much as the server that it would measure; this one is a tenth of that, and knows no more of HTTP
 * than these servers say.
 */
export class Connection {
  readonly #host: string;
  readonly #port: number;
  readonly #ca: Buffer;
  #socket: TLSSocket | undefined;

  constructor(url: string, ca: Buffer) {
    const { hostname, port, protocol } = new URL(url);
    if (protocol !== 'https:') throw new RangeError(`only https is measured, not ${url}`);
    this.#host = hostname;
    this.#port = Number(port || 443);
    this.#ca = ca;
  }

  get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }

  async send(
    method: string,
    path: string,
    { type = '', body = Buffer.alloc(0) }: { type?: string; body?: Buffer } = {},
  ): Promise<Answer> {
    const content =
      type === '' ? '' : `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}:${this.#port}\r\n${content}\r\n`;
    const socket = await this.#open();
    try {
      const { keepAlive, ...answer } = await exchange(
        socket,
        Buffer.concat([Buffer.from(head), body]),
      );
      if (!keepAlive) this.close();
      return answer;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #open(): Promise<TLSSocket> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    const socket = connect({ host: this.#host, port: this.#port, ca: this.#ca });
    socket.setNoDelay(true);
    await once(socket, 'secureConnect');
    socket.on('error', () => {}); // whoever waits for an answer hears that it is closed
    this.#socket = socket;
    return socket;
  }
}

function exchange(
  socket: TLSSocket,
  request: Buffer,
): Promise<Answer & { readonly keepAlive: boolean }> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const late = setTimeout(() => done(new Error('no answer in time')), PATIENCE);
    const done = (error?: Error) => {
      clearTimeout(late);
      socket.off('data', onData).off('close', onClose);
      if (error !== undefined) reject(error);
    };
    const onClose = () => done(new Error('the connection was closed'));
    const onData = (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      try {
        const answer = parseAnswer(received);
        if (answer === undefined) return;
        done();
        resolve(answer);
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    };
    socket.on('data', onData).on('close', onClose);
    socket.write(request);
  });
}

/** The answer that these bytes are, once they are all there. */
function parseAnswer(bytes: Buffer): (Answer & { readonly keepAlive: boolean }) | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const [, version, status] = /^HTTP\/1\.([01]) (\d{3})/.exec(first) ?? [];
  if (status === undefined) throw new Error(`not HTTP: ${first}`);
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  const header = (name: string) => headers.find(([each]) => each === name)?.[1];
  const body = bodyOf(bytes.subarray(end + 4), header);
  if (body === undefined) return undefined;
  const keepAlive = version === '1' && header('connection')?.toLowerCase() !== 'close';
  return { status: Number(status), headers, body, keepAlive };
}

function bodyOf(rest: Buffer, header: (name: string) => string | undefined): Buffer | undefined {
  if (header('transfer-encoding') === 'chunked') return chunkedBody(rest);
  const length = Number(header('content-length') ?? 0);
  return rest.length < length ? undefined : rest.subarray(0, length);
}

function chunkedBody(rest: Buffer): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(rest.toString('latin1', at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (rest.length < next) return undefined;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(rest.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = next;
  }
}
