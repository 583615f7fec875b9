import {
  emptyRepository,
  evolveAll,
  type EventStore,
  type MetafileRef,
  type RecordedEvent,
} from '@scrivener/events';
import { parseRoleName, type RoleName, type Sha256 } from '@scrivener/tuf';
import type { Turnstile } from '../admission/turnstile.ts';
import { answer, TEXT } from '../answer.ts';
import { cachingHeaders, isAtHand, type CachePolicy } from '../caching.ts';
import { withDeadline } from '../deadline.ts';
import { NotaryError } from '../errors.ts';
import { historyPath } from '../paths.ts';
import type { Handler } from '../routes/route.ts';
import { eventsUntil, parseMoment, refuseFuture } from './moment.ts';
import type { Streams } from './streams.ts';

export interface Past {
  readonly events: Pick<EventStore, 'readBytes' | 'lastPosition' | 'readAfter' | 'subscribe'>;
  readonly streams: Streams;
  readonly caching: CachePolicy;
  readonly now: () => Date;
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Where differences and pictures wait for each other: each may hold a lot for a moment. */
  readonly turnstile: Pick<Turnstile, 'run'>;
}

/**
 * `GET /_notary_server/v1/guns/{gun}/at/{moment}/{role}.json`: the bytes that were current then, to
 * be kept for ever where the moment is a position. `Content-Location` names that position.
 */
export function getRoleAt(past: Past): Handler<'HistoryAt'> {
  return async ({ gun, moment: text, role: name }, { req, res }) => {
    const moment = parseMoment('moment', text);
    const role = parseRoleName(name);
    if (role === undefined) throw notThere(`${name} is no role`);
    const { file, position } = await withDeadline(past.timeoutMs, async () => {
      refuseFuture('moment', moment, await past.events.lastPosition(), past.now());
      const stream = await past.streams.read(gun);
      const happened = stream.slice(0, eventsUntil(stream, moment));
      const ref = currentOf(happened, role);
      const bytes = await bytesOf(past, ref.sha256);
      return { file: { ...published(happened, ref), bytes }, position: happened.at(-1)?.position };
    });
    const headers = {
      ...cachingHeaders(past.caching, 'consistent', file),
      // A server with a slow clock may yet add an event to what had happened by then.
      ...(moment.kind === 'time' && { 'Cache-Control': 'no-cache' }),
      'Content-Location': historyPath(gun, `at/${position}/${role}.json`),
    };
    if (isAtHand(req.headers['if-none-match'], file)) answer(res, 304, headers);
    else answer(res, 200, { 'Content-Type': TEXT, ...headers }, file.bytes);
  };
}

/** Throws `METADATA_NOT_FOUND`, which says why. */
function currentOf(happened: readonly RecordedEvent[], role: RoleName): MetafileRef {
  const last = happened.at(-1);
  if (last === undefined) throw notThere('the repository had no events yet');
  const { current } = evolveAll(emptyRepository(last.event.gun), happened);
  const ref = current.get(role);
  if (ref !== undefined) return ref;
  const deletion = happened.findLast(({ event }) => event.type === 'RepositoryDeleted');
  throw notThere(
    current.size === 0 && deletion !== undefined
      ? `the repository had been deleted at position ${deletion.position}`
      : `there was no ${role} yet`,
  );
}

async function bytesOf({ events }: Past, sha256: Sha256): Promise<Uint8Array> {
  const bytes = (await events.readBytes([sha256])).get(sha256);
  if (bytes === undefined) throw new Error(`the log names ${sha256} and does not hold it`);
  return bytes;
}

function published(happened: readonly RecordedEvent[], { role, version, sha256 }: MetafileRef) {
  const by = happened.findLast(
    ({ event }) =>
      'metafiles' in event.data &&
      event.type !== 'RepositoryRestored' && // which brought it back as it was
      event.data.metafiles.some((each) => each.role === role && each.sha256 === sha256),
  );
  return { version, sha256, publishedAt: new Date(by?.event.at ?? 0) };
}

export function notThere(detail: string): NotaryError {
  return new NotaryError('METADATA_NOT_FOUND', { detail });
}
