import type { Lane, Span } from './lanes.ts';
import { DAY, LANE, LEFT, RIGHT, type Scale } from './scale.ts';
import { counted, escapeXml, shorten, text } from './xml.ts';

/** Marks closer than that become one. */
const MARK_GAP = 5;

interface DrawnLane {
  readonly svg: string;
  /** Marks that were not drawn. */
  readonly merged: number;
}

export function drawLane({ role, spans }: Lane, y: number, scale: Scale, now: Date): DrawnLane {
  const middle = y + LANE / 2;
  const last = spans.at(-1);
  const marks = thinned(spans, scale);
  const about = last === undefined ? '' : describeLast(last, now);
  const isBad = last !== undefined && last.to === undefined && last.expires <= now.getTime();
  return {
    merged: spans.length - marks.length,
    svg: [
      `<g><title>${escapeXml(`${role}: ${counted(versionsIn(spans), 'version')}`)}</title>`,
      text(24, middle - 3, 'strong', shorten(role, 26)),
      text(24, middle + 12, isBad ? 'bad small' : 'soft small', about),
      `<line class="grid" x1="${LEFT}" y1="${y + LANE}" x2="${RIGHT}" y2="${y + LANE}"/>`,
      ...bars(spans, middle, scale, now),
      ...marks.map((span) => mark(span, middle, scale)),
      '</g>',
    ].join(''),
  };
}

/** One that came back with its repository is the same one. */
function versionsIn(spans: readonly Span[]): number {
  return new Set(spans.map(({ version, expires }) => `${version} ${expires}`)).size;
}

function describeLast({ version, to, expires }: Span, now: Date): string {
  if (to !== undefined) return `version ${version}, deleted`;
  const days = (expires - now.getTime()) / DAY;
  const date = new Date(expires).toISOString().slice(0, 10);
  if (days <= 0) return `version ${version}, expired ${date}`;
  return `version ${version}, until ${date}`;
}

/** One bar for each stretch of the same kind; those too narrow to be seen go into the one before. */
function bars(spans: readonly Span[], middle: number, scale: Scale, now: Date): string[] {
  const end = now.getTime();
  const stretches: { kind: string; from: number; to: number }[] = [];
  const add = (kind: string, from: number, to: number) => {
    const last = stretches.at(-1);
    if (last?.kind === kind && from - last.to < 0.7) last.to = to;
    else if (to - from >= 0.5 || kind === 'expired') stretches.push({ kind, from, to });
  };
  for (const { from, to = end, expires, madeBy } of spans) {
    const good = Math.min(to, Math.max(from, expires));
    add(madeBy, scale.x(from), scale.x(good));
    if (expires < to) add('expired', scale.x(good), Math.max(scale.x(to), scale.x(good) + 2));
  }
  const last = spans.at(-1);
  if (last !== undefined && last.to === undefined && last.expires > end) {
    stretches.push({ kind: 'ahead', from: scale.x(end), to: scale.x(last.expires) });
  }
  return stretches.map(({ kind, from, to }) => {
    const width = Math.max(Math.round((to - from) * 10) / 10, 1);
    return `<rect class="${kind}" x="${from}" y="${middle - 4}" width="${width}" height="8" rx="2"/>`;
  });
}

/** Publishes by clients before renewals, the newest first, as long as there is room. */
function thinned(spans: readonly Span[], { x }: Scale): Span[] {
  const kept: Span[] = [];
  const taken = new Set<number>();
  const bucket = (span: Span) => Math.floor(x(span.from) / MARK_GAP);
  for (const isRenewal of [false, true]) {
    for (const span of spans.toReversed()) {
      if (span.isRenewal !== isRenewal || taken.has(bucket(span))) continue;
      taken.add(bucket(span));
      kept.push(span);
    }
  }
  return kept.sort((a, b) => a.position - b.position);
}

function mark(span: Span, middle: number, { x }: Scale): string {
  const at = x(span.from);
  const when = new Date(span.from).toISOString();
  const title = `<title>version ${span.version}, ${when}, position ${span.position}</title>`;
  return span.isRenewal
    ? `<rect class="tick" x="${at - 1}" y="${middle - 9}" width="2" height="18">${title}</rect>`
    : `<circle class="mark ${span.madeBy}" cx="${at}" cy="${middle}" r="6">${title}</circle>`;
}
