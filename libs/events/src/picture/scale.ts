import type { RecordedEvent } from '../event-store.ts';
import { text } from './xml.ts';

/** Where lanes begin and end, in the units of the picture. */
export const LEFT = 230;
export const RIGHT = 1168;
export const TOP = 108;
export const LANE = 42;

export interface Scale {
  readonly start: number;
  readonly end: number;
  readonly x: (time: number) => number;
}

/** From the first event to now, and some room for what will expire. */
export function scaleOf(stream: readonly RecordedEvent[], now: Date): Scale {
  const times = stream.map(({ event }) => Date.parse(event.at));
  const start = times.reduce((least, time) => Math.min(least, time), now.getTime());
  const last = times.reduce((most, time) => Math.max(most, time), now.getTime());
  const past = Math.max(last - start, 60_000);
  const end = last + past * 0.12;
  const x = (time: number) => {
    const share = (Math.min(Math.max(time, start), end) - start) / (end - start);
    return Math.round((LEFT + share * (RIGHT - LEFT)) * 10) / 10;
  };
  return { start, end, x };
}

const STEPS = [
  1,
  5,
  15,
  60,
  240,
  720,
  1440,
  2 * 1440,
  7 * 1440,
  14 * 1440,
  30 * 1440,
  91 * 1440,
  182 * 1440,
  365 * 1440,
].map((minutes) => minutes * 60_000);

export function axis({ start, end, x }: Scale, bottom: number): string[] {
  const wished = (end - start) / 7;
  const step = STEPS.find((each) => each >= wished) ?? Math.ceil(wished / YEAR) * YEAR;
  const lines: string[] = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    const at = x(time);
    lines.push(`<line class="grid" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${bottom}"/>`);
    const label = new Date(time).toISOString();
    const shown = step < DAY ? label.slice(5, 16).replace('T', ' ') : label.slice(0, 10);
    if (at < RIGHT - 30) lines.push(text(at, bottom + 16, 'soft small middle', shown));
  }
  return lines;
}

export const DAY = 86_400_000;
const YEAR = 365 * DAY;

export function nowLine(now: Date, { x }: Scale, bottom: number): string {
  const at = x(now.getTime());
  return (
    `<line class="now" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${bottom}"/>` +
    text(at + 5, bottom - 4, 'soft small', 'now')
  );
}
