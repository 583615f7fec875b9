import type { RecordedEvent } from '@scrivener/events';
import { NotaryError } from '../errors.ts';

/** A point in the life of the log. */
export type Moment =
  /** After the event with this position; 0 is before the first. */
  | { readonly kind: 'position'; readonly position: number }
  /** After the last event that says it happened no later; clocks are those of the servers. */
  | { readonly kind: 'time'; readonly time: Date };

const POSITION = /^\d{1,15}$/;
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** Reads a position or an RFC 3339 time; `name` is the parameter's. Throws `INVALID_PARAMETERS`. */
export function parseMoment(name: string, text: string): Moment {
  if (POSITION.test(text)) return { kind: 'position', position: Number(text) };
  const time = TIME.test(text) ? parseTime(text) : undefined;
  if (time === undefined) throw refusal(name, 'a position of the log or an RFC 3339 time');
  return { kind: 'time', time };
}

/** `Date` takes the 31st of February for the 3rd of March. */
function parseTime(text: string): Date | undefined {
  const time = new Date(text.toUpperCase());
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  const isDay = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10));
  return isDay && !Number.isNaN(time.getTime()) ? time : undefined;
}

/** What has not happened yet cannot be told. `last` is the log's last position. */
export function refuseFuture(name: string, moment: Moment, last: number, now: Date): void {
  if (moment.kind === 'position') {
    if (moment.position > last) throw refusal(name, `no position beyond the last, ${last}`);
  } else if (moment.time > now) {
    throw refusal(name, 'no time in the future');
  }
}

/** How many events of a stream, given from its beginning, had happened. */
export function eventsUntil(stream: readonly RecordedEvent[], moment: Moment): number {
  return stream.findLastIndex((recorded) => hadHappened(recorded, moment)) + 1;
}

function hadHappened({ position, event }: RecordedEvent, moment: Moment): boolean {
  return moment.kind === 'position'
    ? position <= moment.position
    : event.at <= moment.time.toISOString(); // one form, so text is in order of time
}

export function refusal(name: string, wanted: string): NotaryError {
  const detail = `invalid ${name} parameter: must be ${wanted}`;
  return new NotaryError('INVALID_PARAMETERS', { detail });
}
