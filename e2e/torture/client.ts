import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Gun } from '@scrivener/tuf';
import type { Part } from '@scrivener/tuf/testing';
import { exchange, getFile, postUpdate, type Answer } from '../tuf-http.ts';
import type { History, Outcome } from './history.ts';

/** An answer is late after 10 s; the rest is for a busy machine. In milliseconds. */
export const LIMIT = 12_000;

/** What came of a request: an answer, or a connection that broke. */
export interface Told {
  readonly answer?: Answer;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly text: string;
  readonly outcome: Outcome;
}

/** What this request, in particular, may be answered. */
export interface Allowed {
  /** Such as `404` or `400 INVALID_UPDATE`, besides what is always allowed. */
  readonly also?: (text: string) => boolean;
}

/** When a process was stopped by us, so that it could not answer. */
export interface Stopped {
  /** Milliseconds within that time in which the API stood still. */
  within(api: number, from: number, to: number): number;
}

/** Asks, measures, and holds every answer against the rules. */
export interface TortureClient {
  readonly urls: readonly string[];
  get(api: number, gun: Gun, file: string, allowed?: Allowed): Promise<Told>;
  publish(api: number, gun: Gun, parts: readonly Part[], allowed?: Allowed): Promise<Told>;
  remove(api: number, gun: Gun): Promise<Told>;
  close(): void;
}

export function createClient(
  urls: readonly string[],
  history: History,
  stopped: Stopped,
  limitMs = LIMIT,
): TortureClient {
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  const urlOf = (api: number) => urls[api % urls.length] ?? '';

  const ask = async (
    kind: 'get' | 'publish' | 'delete',
    api: number,
    { gun, also = () => false }: Allowed & { readonly gun: Gun },
    send: () => Promise<Answer>,
  ): Promise<Told> => {
    const startedAt = Date.now();
    const answered = await send().catch((error: unknown) => {
      return error instanceof Error ? error : new Error(String(error));
    });
    const endedAt = Date.now();
    const broken = answered instanceof Error;
    const text = broken ? breakOf(answered) : textOf(answered);
    history.count(`${kind} ${text}`);

    const still = stopped.within(api % urls.length, startedAt, endedAt) + lag.max / 1e6;
    const ms = endedAt - startedAt - still;
    history.slowestMs = Math.max(history.slowestMs, Math.round(ms));
    if (ms > limitMs) {
      const detail = `${kind} at API ${api % urls.length}: ${text} after ${endedAt - startedAt} ms, ${Math.round(still)} ms of them excused, at ${new Date(startedAt).toISOString()}`;
      history.violation({ rule: 'every answer comes in time', gun, detail });
    }
    const trouble = broken ? undefined : whyForbidden(kind, answered, text);
    if (trouble !== undefined && !also(text)) {
      const body = broken ? '' : answered.body.toString().slice(0, 300);
      const detail = `${kind} at API ${api % urls.length}: ${text}: ${trouble}: ${body}`;
      history.violation({ rule: 'every error is one of those that may be', gun, detail });
    }
    return {
      ...(!broken && { answer: answered }),
      startedAt,
      endedAt,
      text,
      outcome: broken ? 'unknown' : outcomeOf(answered.status),
    };
  };

  return {
    urls,
    get: (api, gun, file, allowed) =>
      ask('get', api, { gun, ...allowed }, () => getFile(urlOf(api), gun, file)),
    publish: (api, gun, parts, allowed) =>
      ask('publish', api, { gun, ...allowed }, () => postUpdate(urlOf(api), gun, parts)),
    remove: (api, gun) =>
      ask('delete', api, { gun }, () => exchange('DELETE', `${urlOf(api)}/v2/${gun}/_trust/tuf/`)),
    close: () => lag.disable(),
  };
}

function outcomeOf(status: number): Outcome {
  if (status === 200) return 'accepted';
  return status === 429 || status >= 500 ? 'unknown' : 'refused';
}

function textOf({ status, code }: Answer): string {
  return code === undefined ? String(status) : `${status} ${code}`;
}

function breakOf(error: Error): string {
  if (error.message.includes('took longer')) return 'no answer in 30 s';
  return `broken: ${'code' in error ? String(error.code) : error.message}`;
}

/** What an answer must not hold: addresses, SQL, names of hosts and files. */
const INTERNALS = /127\.0\.0\.1|ECONN|postgres|redis|relation "|select |insert |\.ts:\d/i;

function whyForbidden(kind: string, answer: Answer, text: string): string | undefined {
  const { status, headers, body } = answer;
  if (status === 200) return undefined;
  if (INTERNALS.test(body.toString())) return 'it tells internals';
  if (kind === 'publish' && text === '400 VERSION') return undefined;
  if (status !== 429 && text !== '503 UNAVAILABLE') return 'not an answer that may be';
  return headers['retry-after'] === undefined ? 'no Retry-After' : undefined;
}
