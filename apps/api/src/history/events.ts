import { once } from 'node:events';
import type { RecordedEvent } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';
import { z } from 'zod';
import { answer, JSON_TEXT, type Reply } from '../answer.ts';
import type { Access } from '../auth/authenticate.ts';
import { withDeadline } from '../deadline.ts';
import { jsonText } from '../json-text.ts';
import { parseQuery } from '../query.ts';
import type { Exchange, Handler } from '../routes/route.ts';
import type { Past } from './at.ts';
import { createKeyids, documentOf, eventDocument } from './event-document.ts';
import type { Feed, Following, Stretch } from './feed.ts';
import { refusal } from './moment.ts';

/** What a page of events looks like. */
export const eventsPage = z.strictObject({
  events: z.array(eventDocument),
  next: z
    .int()
    .min(0)
    .describe('the `after` of the next page: all up to it is here, or not for this reader'),
  more: z.boolean().describe('whether there may be more already'),
});

interface Dependencies {
  readonly past: Past;
  readonly feed: Feed;
  readonly gunPrefixes: readonly string[];
}

interface Wanted {
  /** Positions above this one. */
  readonly after: number;
  readonly limit: number;
  /** How long to wait for the first event, in milliseconds. */
  readonly waitMs: number;
  readonly isStream: boolean;
  readonly following: Following;
  readonly access: Access;
}

/**
 * `GET /_notary_server/v1/events?after=N[&limit=100][&gun=…][&wait=30]`: what happened, in the order of
 * commits and without a gap; with `wait`, not before something did, or that many seconds are over.
 * With `stream=1`, or where the client accepts `text/event-stream`: server-sent events without end.
 */
export function getEvents({ past, feed, gunPrefixes }: Dependencies): Handler<'Events'> {
  const keyidsOf = createKeyids(past.events);
  const rendered = async (events: readonly RecordedEvent[], { isAdmin = false }: Access) => {
    const keyids = await keyidsOf(events);
    return events.map((recorded) => documentOf(recorded, keyids, { isAdmin }));
  };
  const isServed = (gun: Gun) =>
    gunPrefixes.length === 0 || gunPrefixes.some((prefix) => gun.startsWith(prefix));
  const read = (wanted: Wanted, after: number) =>
    withDeadline(past.timeoutMs, async () => {
      const stretch = await feed.read(wanted.following, after, wanted.limit);
      return { ...stretch, documents: await rendered(stretch.events, wanted.access) };
    });

  const page = async (wanted: Wanted, { res }: Exchange): Promise<void> => {
    const leave = wanted.waitMs > 0 ? feed.enter() : () => {};
    try {
      const left = leaving(res);
      const end = Date.now() + wanted.waitMs;
      let mark = wanted.waitMs > 0 ? feed.mark() : 0;
      let stretch = await read(wanted, wanted.after);
      while (isEmpty(stretch) && Date.now() < end && !feed.closing.aborted && !left.aborted) {
        await feed.news(mark, end - Date.now(), left);
        mark = feed.mark();
        stretch = await read(wanted, stretch.next);
      }
      const { documents, next, more } = stretch;
      const headers = { 'Content-Type': JSON_TEXT, 'Cache-Control': 'no-store' };
      answer(res, 200, headers, jsonText({ events: documents, next, more }));
    } finally {
      leave();
    }
  };

  const stream = async (wanted: Wanted, { res }: Exchange): Promise<void> => {
    const leave = feed.enter();
    try {
      const left = leaving(res);
      // Trouble before the first byte is an answer like any other.
      let mark = feed.mark();
      let stretch = await read(wanted, wanted.after);
      const client = openStream(res, feed.patienceMs, wanted.access.until);
      while (!left.aborted && !feed.closing.aborted && client.msLeft() > 0) {
        await client.send(stretch.documents.map(sentEvent).join(''));
        if (!stretch.more) {
          await client.beat(stretch.next);
          await feed.news(mark, Math.min(HEARTBEAT, client.msLeft()), left);
        }
        mark = feed.mark();
        stretch = await read(wanted, stretch.next);
      }
      res.end();
    } finally {
      leave();
    }
  };

  return async (route, exchange) => {
    const { req, query, access } = exchange;
    const { mayPull = () => true } = access;
    const following = {
      ...(route.gun && { gun: route.gun }),
      maySee: (gun: Gun) => isServed(gun) && mayPull(gun),
    };
    const parameters = parseParameters(parseQuery(query), req.headers);
    const wanted = { ...parameters, following, access };
    await (wanted.isStream ? stream : page)(wanted, exchange);
  };
}

function isEmpty({ events, more }: Stretch): boolean {
  return events.length === 0 && !more;
}

/** Aborted when the client is gone, or has closed its side: whoever waits for long keeps it open. */
function leaving(res: Reply): AbortSignal {
  const left = new AbortController();
  const leave = () => left.abort();
  res.once('close', leave);
  if (res.req.socket.readableEnded) leave();
  else res.req.socket.once('end', leave);
  res.once('close', () => res.req.socket.off('end', leave));
  return left.signal;
}

/** Server-sent events: `id` is what a client that comes back says as `Last-Event-ID`. */
function sentEvent(document: z.output<typeof eventDocument>): string {
  return `id: ${document.position}\ndata: ${jsonText(document)}\n\n`;
}

/** Without a word for so long, proxies might take a stream for dead; in milliseconds. */
const HEARTBEAT = 15_000;

function openStream(res: Reply, patienceMs: number, until: Date | undefined) {
  let lastBeat = 0;
  let told = -1;
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no', // nginx would hold it back
  });
  res.flushHeaders();
  const send = async (text: string): Promise<void> => {
    if (text === '' || res.closed) return;
    res.locals.written += Buffer.byteLength(text);
    if (res.write(text)) return;
    const signal = AbortSignal.timeout(patienceMs);
    await Promise.race([once(res, 'drain', { signal }), once(res, 'close', { signal })]).catch(
      () => res.destroy(), // too slow: it may come back with its last id
    );
  };
  return {
    send,
    /** Says how far we are, also where all of that was hidden. */
    async beat(next: number): Promise<void> {
      if (Date.now() - lastBeat < HEARTBEAT) return;
      lastBeat = Date.now();
      await send(next === told ? ': still here\n\n' : `id: ${next}\n\n`);
      told = next;
    },
    /** Until the token ends. */
    msLeft: () => (until?.getTime() ?? Infinity) - Date.now(),
  };
}

const LARGEST_PAGE = 1_000;
const LONGEST_WAIT = 30;
const LARGEST = Number.MAX_SAFE_INTEGER;

function parseParameters(
  parameters: ReadonlyMap<string, string>,
  headers: Exchange['req']['headers'],
) {
  const whole = (name: string, byDefault: string, min: number, max: number): number => {
    const text = parameters.get(name) || byDefault;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw refusal(name, `${min} to ${max}`);
    return value;
  };
  const streaming = parameters.get('stream') || '';
  if (streaming !== '' && streaming !== '0' && streaming !== '1') throw refusal('stream', '0 or 1');
  if (parameters.get('gun')?.includes('*')) throw refusal('gun', 'the name of a repository');
  const accepts = /(?:^|,)\s*text\/event-stream\s*(?:$|[;,])/i.test(headers.accept ?? '');
  const isStream = streaming === '' ? accepts : streaming === '1';
  const last = isStream ? String(headers['last-event-id'] ?? '') : '';
  return {
    after: last === '' ? whole('after', '0', 0, LARGEST) : lastEventId(last),
    limit: whole('limit', '100', 1, LARGEST_PAGE),
    waitMs: whole('wait', '0', 0, LONGEST_WAIT) * 1000,
    isStream,
  };
}

function lastEventId(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw refusal('Last-Event-ID', 'the id of an event');
  return Number(text);
}
