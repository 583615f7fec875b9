import type { IncomingMessage } from 'node:http';
import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import type { Logger } from '@scrivener/runtime';
import { inThisTrace } from '@scrivener/runtime/tracing';
import type { RequestHandler } from 'express';
import type { Locals, Reply } from '../answer.ts';
import type { Operation } from '../paths.ts';

/** Not worth a line each: they come every few seconds. */
const QUIET: ReadonlySet<Operation | ''> = new Set(['Health', 'Live', 'Ready', 'Metrics']);

/**
 * Gives a request its id and its logger, and logs it when it is over: `response completed` with the
 * fields of WIRE §15.
 */
export function requestLog(
  logger: Logger,
): RequestHandler<unknown, unknown, unknown, unknown, Locals> {
  return (req, res, next) => {
    const started = performance.now();
    const requestId = randomUUID();
    const log = logger.child(aboutRequest(req, requestId));
    Object.assign(res.locals, { requestId, log, written: 0 } satisfies Locals);
    const complete = () => {
      if (QUIET.has(res.locals.operation ?? '')) return;
      const answered = {
        status: statusOf(res),
        written: res.locals.written,
        milliseconds: performance.now() - started,
        contentType: res.getHeader('Content-Type'),
        subject: res.locals.subject,
      };
      log.info(aboutResponse(answered), COMPLETED);
    };
    res.once('close', inThisTrace(complete));
    next();
  };
}

const COMPLETED = 'response completed';

/** The same line for an answer that came from memory. */
export function logKept(logger: Logger, req: IncomingMessage, answered: Completed): void {
  logger.info({ ...aboutRequest(req, randomUUID()), ...aboutResponse(answered) }, COMPLETED);
}

interface Completed {
  readonly status: number;
  readonly written: number;
  readonly milliseconds: number;
  readonly contentType: unknown;
  readonly subject?: string | undefined;
}

function aboutRequest(req: IncomingMessage, id: string): Record<string, unknown> {
  return {
    'http.request.id': id,
    'http.request.method': req.method,
    'http.request.host': req.headers.host ?? '',
    'http.request.uri': req.url,
    'http.request.remoteaddr': remoteAddress(req),
    'http.request.useragent': req.headers['user-agent'] ?? '',
    // An undefined field is left out.
    'http.request.referer': req.headers.referer,
    'http.request.contenttype': req.headers['content-type'],
  };
}

function aboutResponse({
  status,
  written,
  milliseconds,
  contentType,
  subject,
}: Completed): Record<string, unknown> {
  return {
    'http.response.status': status,
    'http.response.written': written,
    'http.response.duration': `${milliseconds.toFixed(3)}ms`,
    'http.response.contenttype': contentType,
    'auth.user.name': subject,
  };
}

/** 0 for a success with an empty body, as logs and metrics of the old server have it (WIRE §12, §15). */
export function statusOf(res: Reply): number {
  return res.statusCode === 200 && res.locals.written === 0 ? 0 : res.statusCode;
}

/** What proxies say, if it is an address; else who is connected. */
function remoteAddress({ headers, socket }: IncomingMessage): string {
  const forwarded =
    String(headers['x-forwarded-for'] ?? '')
      .split(',')[0]
      ?.trim() ?? '';
  if (isIP(forwarded) !== 0) return forwarded;
  const real = String(headers['x-real-ip'] ?? '');
  return isIP(real) === 0 ? `${socket.remoteAddress}:${socket.remotePort}` : real;
}
