import { deserialise } from '../event-json.ts';
import type { RecordedEvent } from '../event-store.ts';

/** The columns of `events` as `recordedEvent` reads them, for a SELECT. */
export const eventColumns = `position, version, encode(hash, 'hex') as hash, type, gun,
  to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, data, cause`;

/** The same but for hash and cause, which projections do not look at. */
export const projectedColumns = `position, version, '' as hash, type, gun,
  to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, data, '{}'::json as cause`;

/** One row of them, as the driver gives it. */
export interface EventRow {
  readonly position: string;
  readonly version: number;
  readonly hash: string;
  readonly type: string;
  readonly gun: string;
  readonly at: string;
  readonly data: unknown;
  readonly cause: unknown;
}

export function recordedEvent(row: EventRow): RecordedEvent {
  const { position, version, hash } = row;
  return { position: Number(position), version, hash, event: deserialise(row) };
}
