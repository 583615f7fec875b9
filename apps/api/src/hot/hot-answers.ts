import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@scrivener/runtime';
import { hasTraces, nameRequest } from '@scrivener/runtime/tracing';
import { TEXT } from '../answer.ts';
import type { RecallPuller } from '../auth/authenticate.ts';
import { isAtHand, type CachePolicy } from '../caching.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { logKept } from '../monitoring/request-log.ts';
import type { KeptFiles } from './kept-files.ts';
import { prepareAnswer } from './prepared-answer.ts';

/**
 * Answers a request from memory, byte for byte as the app would, and at once; or leaves it alone, says
 * false, and the app answers it.
 */
export type HotAnswer = (req: IncomingMessage, res: ServerResponse) => boolean;

interface Dependencies {
  readonly kept: KeptFiles;
  readonly caching: CachePolicy;
  readonly metrics: Pick<Metrics, 'observeKept'>;
  readonly logger: Logger;
  /** Where tokens are asked for: who is let in here. Everybody is where it is absent. */
  readonly recallPuller?: RecallPuller | undefined;
}

/** What in a request matters to an answer, or undefined where the app has to look at it. */
interface Question {
  readonly ifNoneMatch: string | undefined;
  readonly authorization: string | undefined;
  readonly bytes: number;
}

/**
 * Plain GETs of what is kept in memory, and nothing else: a repeated Host, a body, HTTP/1.0, a target
 * with an escape or a query, a client that has closed its half: all of that goes to the app.
 */
export function createHotAnswers({
  kept,
  caching,
  metrics,
  logger,
  recallPuller,
}: Dependencies): HotAnswer {
  return (req, res) => {
    const started = performance.now();
    const { method = '', url = '' } = req;
    if (method !== 'GET' || req.httpVersion !== '1.1') return false;
    const file = kept.find(url);
    if (file?.isPlain !== true || file.body.length === 0) return false;
    const question = read(req.rawHeaders, method.length + url.length);
    if (question === undefined || req.socket.readableEnded) return false;
    const access = recallPuller === undefined ? {} : recallPuller(question.authorization, file.gun);
    if (access === undefined) return false;

    file.prepared ??= prepareAnswer(file, caching);
    const { ok, unchanged } = file.prepared;
    const isUnchanged = question.ifNoneMatch !== undefined && isAtHand(question.ifNoneMatch, file);
    res.removeHeader('Connection'); // it persists without a word
    if (isUnchanged) res.writeHead(304, unchanged).end();
    else res.writeHead(200, ok).end(file.body, 'latin1');

    if (hasTraces()) nameRequest(method, file.operation);
    const microseconds = (performance.now() - started) * 1000;
    const code = isUnchanged ? 304 : 200;
    const responseBytes = isUnchanged ? 0 : file.body.length;
    const requestBytes = question.bytes;
    metrics.observeKept(file.operation, { code, microseconds, requestBytes, responseBytes });
    if (logger.isLevelEnabled('info')) {
      logKept(logger, req, {
        status: code,
        written: responseBytes,
        milliseconds: microseconds / 1000,
        contentType: isUnchanged ? undefined : TEXT,
        subject: access.subject,
      });
    }
    return true;
  };
}

/** Names and values by turns, as they came. */
function read(rawHeaders: readonly string[], targetBytes: number): Question | undefined {
  let hosts = 0;
  let bytes = targetBytes;
  let ifNoneMatch: string | undefined;
  let authorization: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    const value = rawHeaders[index + 1] ?? '';
    bytes += name.length + value.length;
    switch (name.length) {
      case 4:
        if (name.toLowerCase() === 'host') hosts += 1;
        break;
      case 13:
        switch (name.toLowerCase()) {
          case 'if-none-match':
            if (ifNoneMatch !== undefined) return undefined;
            ifNoneMatch = value;
            break;
          case 'authorization':
            if (authorization !== undefined) return undefined;
            authorization = value;
            break;
        }
        break;
      case 14:
        if (name.toLowerCase() === 'content-length') return undefined;
        break;
      case 17:
        if (name.toLowerCase() === 'transfer-encoding') return undefined;
        break;
    }
  }
  return hosts === 1 ? { ifNoneMatch, authorization, bytes } : undefined;
}
