import { readMoment, type Moment, type RecordedEvent } from '@scrivener/events';
import { NotaryError } from '../errors.ts';

/** Reads a position or an RFC 3339 time; `name` is the parameter's. Throws `INVALID_PARAMETERS`. */
export function parseMoment(name: string, text: string): Moment {
  const moment = readMoment(text);
  if (moment === undefined) throw refusal(name, 'a position of the log or an RFC 3339 time');
  return moment;
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
