import { connect } from 'node:net';
import type { Verdict } from '../target.ts';

/** How long a server may take that is asked for nothing long, in milliseconds. */
const LIMIT = 8_000;

/**
 * Sends bytes over TCP, says that this is all, and reads all that comes back: answers in HTTP, none of
 * which tells of trouble in the server. Only who asks nothing may get no answer.
 */
export async function verdictOverTcp(port: number, bytes: Uint8Array): Promise<Verdict> {
  const text = await exchanged(port, bytes);
  const statuses = statusesOf(text);
  const asksNothing = /^[\r\n]*$/.test(Buffer.from(bytes).toString('latin1'));
  if (statuses.length === 0 && !asksNothing)
    throw new Error('the connection was closed, no answer');
  const trouble = statuses.find((status) => status >= 500 && status !== 501);
  if (trouble !== undefined) throw new Error(`status ${trouble}: ${text.slice(0, 500)}`);
  return statuses.some((status) => status < 400) ? 'value' : 'refusal';
}

function exchanged(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1');
    const seen = () => Buffer.concat(chunks).toString('latin1');
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end within ${LIMIT} ms, after ${JSON.stringify(seen().slice(0, 300))}`));
    }, LIMIT);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error) => {
      clearTimeout(late);
      reject(error);
    });
    socket.on('close', () => {
      clearTimeout(late);
      resolve(seen());
    });
    socket.end(bytes);
  });
}

const HEAD =
  /^HTTP\/1\.[01] ([1-5]\d\d) [\x20-\x7e]*\r\n((?:[\w!#$%&'*+.^`|~-]+: [\x20-\x7e\x80-\xff]*\r\n)*)\r\n/;

/** The statuses of the answers in `text`. Throws where it is anything but answers. */
function statusesOf(text: string): number[] {
  const statuses: number[] = [];
  for (let rest = text; rest !== '';) {
    const [head, status = '', headers = ''] = HEAD.exec(rest) ?? [];
    if (head === undefined) throw new Error(`no HTTP: ${JSON.stringify(rest.slice(0, 300))}`);
    if (status !== '100') statuses.push(Number(status));
    rest = behindBody(rest.slice(head.length), headers, status === '100');
  }
  return statuses;
}

function behindBody(rest: string, headers: string, isInterim: boolean): string {
  if (isInterim) return rest;
  // To a HEAD there are no more than the headers of a body.
  if (rest === '' || rest.startsWith('HTTP/1.')) return rest;
  const length = /^content-length: (\d+)\r$/im.exec(headers)?.[1];
  if (length !== undefined) {
    if (rest.length < Number(length)) throw new Error(`a body that is cut: ${rest.slice(0, 300)}`);
    return rest.slice(Number(length));
  }
  if (/^transfer-encoding: chunked\r$/im.test(headers)) return behindChunks(rest);
  return ''; // until the connection was closed
}

function behindChunks(text: string): string {
  for (let rest = text; ;) {
    const [line, size = ''] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
    if (line === undefined) throw new Error('chunks that are broken');
    const length = Number.parseInt(size, 16);
    rest = rest.slice(line.length + length + 2);
    if (length === 0) return rest;
  }
}
