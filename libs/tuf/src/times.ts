/** An instant to the nanosecond, with the zone it was written in. */
export interface Time {
  /** Since 1970; negative before. */
  readonly epochSeconds: number;
  readonly nanoseconds: number;
  /** East of Greenwich. */
  readonly offsetMinutes: number;
}

/** What a missing time counts as: the first instant of the year 1. */
export const ZERO_TIME: Time = {
  epochSeconds: Date.parse('0001-01-01T00:00:00Z') / 1000,
  nanoseconds: 0,
  offsetMinutes: 0,
};

const RFC_3339 =
  /^(\d{4}-(\d{2})-(\d{2}))T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/;

/** Reads RFC 3339 strictly: upper case, a zone, a day that the calendar has (WIRE §5.3). */
export function parseTime(text: string): Time | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [, date = '', month, day, hour, minute, second, fraction = '', sign, zoneHour, zoneMinute] =
    match;

  const midnight = new Date(`${date}T00:00:00Z`);
  if (midnight.getUTCMonth() + 1 !== Number(month) || midnight.getUTCDate() !== Number(day)) {
    return undefined;
  }
  const east = sign === undefined ? 0 : Number(zoneHour) * 60 + Number(zoneMinute);
  const offsetMinutes = sign === '-' && east > 0 ? -east : east;
  const ofDay = (Number(hour) * 60 + Number(minute) - offsetMinutes) * 60 + Number(second);
  return {
    epochSeconds: midnight.getTime() / 1000 + ofDay,
    nanoseconds: Number(fraction.slice(0, 9).padEnd(9, '0')),
    offsetMinutes,
  };
}

/** Strictly before: what expires right now is still good. */
export function isBefore(time: Time, now: Date): boolean {
  const nowSeconds = Math.floor(now.getTime() / 1000);
  const nowNanoseconds = (now.getTime() - nowSeconds * 1000) * 1_000_000;
  return (
    time.epochSeconds < nowSeconds ||
    (time.epochSeconds === nowSeconds && time.nanoseconds < nowNanoseconds)
  );
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** `Mon Jan 2 15:04:05 MST 2006` in the zone the time was written in (WIRE §6.7). */
export function showTime(time: Time): string {
  const local = new Date((time.epochSeconds + time.offsetMinutes * 60) * 1000);
  const clock = local.toISOString().slice(-13, -5);
  const year = String(local.getUTCFullYear()).padStart(4, '0');
  const day = `${WEEKDAYS[local.getUTCDay()]} ${MONTHS[local.getUTCMonth()]} ${local.getUTCDate()}`;
  return `${day} ${clock} ${showZone(time.offsetMinutes)} ${year}`;
}

function showZone(offsetMinutes: number): string {
  if (offsetMinutes === 0) return 'UTC';
  const minutes = Math.abs(offsetMinutes);
  const digits = Math.trunc(minutes / 60) * 100 + (minutes % 60);
  return `${offsetMinutes < 0 ? '-' : '+'}${String(digits).padStart(4, '0')}`;
}

const EARLIEST = Date.parse('0001-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

/** To the millisecond below. A zone can carry a time out of the years 1 to 9999: then their end. */
export function toDate({ epochSeconds, nanoseconds }: Time): Date {
  const epoch = epochSeconds * 1000 + Math.floor(nanoseconds / 1_000_000);
  return new Date(Math.min(Math.max(epoch, EARLIEST), LATEST));
}

/** RFC 3339 in UTC without trailing zeros, as server-made files have it (WIRE §7.3). */
export function renderTime(date: Date): string {
  return date.toISOString().replace(/\.?0*Z$/, 'Z');
}

export function addDays(date: Date, days: number): Date {
  return new Date(date.getTime() + days * 86_400_000);
}
