import type { IncomingMessage } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from '@scrivener/runtime';
import type { Response } from 'express';
import type { Operation } from './paths.ts';

/** What the app knows about a request while it answers it. */
export interface Locals {
  /** A v4 UUID, in every line that the log has about this request. */
  readonly requestId: string;
  readonly log: Logger;
  /** Absent until the target was understood, and for targets that lead nowhere. */
  operation?: Operation;
  /** Who asks, once a token has said so. */
  subject?: string;
  /** Bytes of the body that was sent. */
  written: number;
}

export type Reply = Response<unknown, Locals>;

export const TEXT = 'text/plain; charset=utf-8';
export const JSON_TEXT = 'application/json; charset=utf-8';

/**
 * Sends a whole answer with exactly these headers, `Date` and `Content-Length`. Not `res.send`, which
 * would add to them. A HEAD gets the headers of the body only.
 */
export function answer(
  res: Reply,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array = '',
): void {
  res.end(setHead(res, status, headers, body));
}

/**
 * Sends a whole answer while the client is still sending its body. Whoever closes a connection
 * before everything was read resets it, and the client may never see why; so this goes on reading
 * for a while behind the answer, and only then closes.
 */
export async function answerEarly(
  res: Reply,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<void> {
  res.write(setHead(res, status, { ...headers, Connection: 'close' }, body));
  await restOf(res.req);
  res.end();
}

/** Whether there is more to come of the body; what came in one piece with the head is no reason. */
export async function isStillSending(req: IncomingMessage): Promise<boolean> {
  const { 'content-length': length = '0', 'transfer-encoding': chunked } = req.headers;
  if (length === '0' && chunked === undefined) return false;
  await setImmediate();
  return !req.complete;
}

/** How long the rest of a refused body is read, in milliseconds. */
const PATIENCE = 10_000;

async function restOf(req: IncomingMessage): Promise<void> {
  const over = new Promise((resolve) => {
    req.once('end', resolve).once('close', resolve);
    setTimeout(resolve, PATIENCE).unref();
  });
  req.resume();
  await over;
}

function setHead(
  res: Reply,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  res.locals.written = res.req.method === 'HEAD' ? 0 : bytes.byteLength;
  if (res.req.socket.readableEnded) {
    // There cannot be another request.
    res.setHeader('Connection', 'close');
  } else if (res.req.httpVersion !== '1.0' && !res.hasHeader('Connection')) {
    // Over HTTP/1.1 a connection persists without a word; Node would add two headers about it.
    res.removeHeader('Connection');
  }
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  // Of a 304 it would be the length of what is not sent (RFC 9110 §8.6).
  if (status !== 304) res.setHeader('Content-Length', bytes.byteLength);
  return bytes;
}
