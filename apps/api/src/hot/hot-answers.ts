import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@scrivener/runtime';
import { hasTraces, nameRequest } from '@scrivener/runtime/tracing';
import { TEXT } from '../answer.ts';
import { cachingHeaders, isAtHand, type CachePolicy } from '../caching.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { logKept } from '../monitoring/request-log.ts';
import { isSmall, type KeptFile, type KeptFiles } from './kept-files.ts';

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
}

/** Everything about an answer that follows from the file: headers as flat lists for `writeHead`. */
interface Prepared {
  readonly ok: string[];
  readonly unchanged: string[];
  /**
   * As a string where it is small, one character for each byte: Node sends that in one piece with the
   * head, and a download costs a tenth less.
   */
  readonly body: string | Uint8Array;
}

/** What in a request matters to an answer, or undefined where the app has to look at it. */
interface Question {
  readonly ifNoneMatch: string | undefined;
  readonly bytes: number;
}

/**
 * Plain GETs of what is kept in memory, and nothing else: a repeated Host, a body, HTTP/1.0, a target
 * with an escape or a query, a client that has closed its half: all of that goes to the app.
 */
export function createHotAnswers({ kept, caching, metrics, logger }: Dependencies): HotAnswer {
  /** Gone with the files. */
  const prepared = new WeakMap<KeptFile, Prepared>();
  const prepare = (file: KeptFile): Prepared => {
    const made = prepareAnswer(file, caching);
    prepared.set(file, made);
    return made;
  };

  return (req, res) => {
    const started = performance.now();
    const { method = '', url = '' } = req;
    if (method !== 'GET' || req.httpVersion !== '1.1') return false;
    const file = kept.find(url);
    if (file?.isPlain !== true || file.file.bytes.byteLength === 0) return false;
    const question = read(req.rawHeaders, method.length + url.length);
    if (question === undefined || req.socket.readableEnded) return false;

    const { ok, unchanged, body } = prepared.get(file) ?? prepare(file);
    const isUnchanged =
      question.ifNoneMatch !== undefined && isAtHand(question.ifNoneMatch, file.file);
    res.removeHeader('Connection'); // it persists without a word
    if (isUnchanged) res.writeHead(304, unchanged).end();
    else res.writeHead(200, ok).end(body, 'latin1');

    if (hasTraces()) nameRequest(method, file.operation);
    const microseconds = (performance.now() - started) * 1000;
    const code = isUnchanged ? 304 : 200;
    const responseBytes = isUnchanged ? 0 : file.file.bytes.byteLength;
    const requestBytes = question.bytes;
    metrics.observeKept(file.operation, { code, microseconds, requestBytes, responseBytes });
    if (logger.isLevelEnabled('info')) {
      logKept(logger, req, {
        status: code,
        written: responseBytes,
        milliseconds: microseconds / 1000,
        contentType: isUnchanged ? undefined : TEXT,
      });
    }
    return true;
  };
}

function prepareAnswer(file: KeptFile, caching: CachePolicy): Prepared {
  const unchanged = Object.entries(cachingHeaders(caching, file.kind, file.file)).flat();
  const { bytes } = file.file;
  return {
    unchanged,
    ok: ['Content-Type', TEXT, ...unchanged, 'Content-Length', String(bytes.byteLength)],
    body: isSmall(bytes) ? Buffer.from(bytes).toString('latin1') : bytes,
  };
}

/** Names and values by turns, as they came. */
function read(rawHeaders: readonly string[], targetBytes: number): Question | undefined {
  let hosts = 0;
  let bytes = targetBytes;
  let ifNoneMatch: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    const value = rawHeaders[index + 1] ?? '';
    bytes += name.length + value.length;
    switch (name.length) {
      case 4:
        if (name.toLowerCase() === 'host') hosts += 1;
        break;
      case 13:
        if (name.toLowerCase() !== 'if-none-match') break;
        if (ifNoneMatch !== undefined) return undefined;
        ifNoneMatch = value;
        break;
      case 14:
        if (name.toLowerCase() === 'content-length') return undefined;
        break;
      case 17:
        if (name.toLowerCase() === 'transfer-encoding') return undefined;
        break;
    }
  }
  return hosts === 1 ? { ifNoneMatch, bytes } : undefined;
}
