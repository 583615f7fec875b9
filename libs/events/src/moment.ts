/** A point in the life of the log. */
export type Moment =
  /** After the event with this position; 0 is before the first. */
  | { readonly kind: 'position'; readonly position: number }
  /** After the last event that says it happened no later; clocks are those of the servers. */
  | { readonly kind: 'time'; readonly time: Date };

const POSITION = /^\d{1,15}$/;
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** Reads a position or an RFC 3339 time; undefined where it is neither. */
export function readMoment(text: string): Moment | undefined {
  if (POSITION.test(text)) return { kind: 'position', position: Number(text) };
  const time = TIME.test(text) ? parseTime(text) : undefined;
  return time && { kind: 'time', time };
}

/** `Date` takes the 31st of February for the 3rd of March. */
function parseTime(text: string): Date | undefined {
  const time = new Date(text.toUpperCase());
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  const isDay = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10));
  return isDay && !Number.isNaN(time.getTime()) ? time : undefined;
}
