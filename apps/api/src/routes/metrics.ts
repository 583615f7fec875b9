import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { answer } from '../answer.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Handler } from './route.ts';

const compress = promisify(gzip);

/** `GET /metrics`: the only answer that is ever compressed. */
export function getMetrics(metrics: Metrics): Handler<'Metrics'> {
  return async (_route, { req, res }) => {
    const headers = { 'Content-Type': 'text/plain; version=0.0.4' };
    const text = await metrics.render();
    if (/\bgzip\b/.test(req.headers['accept-encoding'] ?? '')) {
      answer(res, 200, { ...headers, 'Content-Encoding': 'gzip' }, await compress(text));
    } else {
      answer(res, 200, headers, text);
    }
  };
}
