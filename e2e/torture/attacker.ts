// `node attacker.ts '{…}'`: more than an API can take, all at once. Prints what each upload was answered.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { text } from 'node:stream/consumers';
import { CA_FILE } from '../../fixtures/certificates.ts';

export interface Attack {
  readonly url: string;
  /** Of an update. */
  readonly path: string;
  /** Clients that announce 90 MiB, and send a few bytes a second. */
  readonly slowClients: number;
  /** Uploads of 99 MiB, all at once. */
  readonly hugeUploads: number;
  /** Forms of 10,000 parts, all at once. */
  readonly manyParts: number;
  /** How long the slow clients go on at least, in milliseconds. */
  readonly ms: number;
}

const MIB = 1024 * 1024;
const BOUNDARY = 'b';
const FORM = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` };
const ca = readFileSync(CA_FILE);

if (import.meta.main) await attack(JSON.parse(process.argv[2] ?? '{}') as Attack);

async function attack(options: Attack): Promise<void> {
  const { url, path, slowClients, hugeUploads, manyParts, ms } = options;
  const slow = Array.from({ length: slowClients }, () => dawdle(url, path));
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('A: b\r\n');
  }, 1_000);
  const huge = form([Buffer.alloc(99 * MIB, 'x')]);
  const many = form(Array.from({ length: 10_000 }, () => Buffer.from('{}')));
  const uploads = [
    ...Array.from({ length: hugeUploads }, () => huge),
    ...Array.from({ length: manyParts }, () => many),
  ].map(async (body) => console.log(await upload(`${url}${path}`, body)));
  await Promise.all([...uploads, sleep(ms)]);
  clearInterval(drip);
  for (const socket of slow) socket.destroy();
}

/** Status, code and `Retry-After`, or why there was no answer. */
async function upload(url: string, body: Buffer): Promise<string> {
  const headers = { ...FORM, 'Content-Length': body.byteLength };
  const sent = request(url, { method: 'POST', ca, headers, agent: false });
  // Whoever is told before all is sent may find the rest of its upload reset.
  sent.on('error', () => {});
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  sent.end(body);
  try {
    const [response] = await answered;
    const document = await text(response);
    const code = /"code":"(\w+)"/.exec(document)?.[1] ?? '';
    return `${response.statusCode} ${code} ${response.headers['retry-after'] ?? ''}`.trim();
  } catch (error) {
    return `broken: ${String(error)}`;
  }
}

function form(parts: readonly Buffer[]): Buffer {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="targets"\r\n\r\n`;
  const between = Buffer.from('\r\n');
  return Buffer.concat([
    ...parts.flatMap((part) => [Buffer.from(head), part, between]),
    Buffer.from(`--${BOUNDARY}--\r\n`),
  ]);
}

/** Announces an upload, and sends nothing of it but what the caller writes. */
function dawdle(url: string, path: string): TLSSocket {
  const socket = connect({ port: Number(new URL(url).port), host: 'localhost', ca });
  socket.on('error', () => {}); // it may be cut to make room
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FORM['Content-Type']}\r\n` +
      `Content-Length: ${90 * MIB}\r\n\r\n--${BOUNDARY}\r\n`,
  );
  return socket;
}
