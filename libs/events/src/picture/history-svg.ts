import type { Gun } from '@scrivener/tuf';
import type { RecordedEvent } from '../event-store.ts';
import { lanesOf, type Lane, type Span } from './lanes.ts';
import type { Rotation } from './rotations.ts';
import { escapeXml, shorten } from './xml.ts';

export interface Picture {
  readonly gun: Gun;
  /** All of the stream, or its end. */
  readonly stream: readonly RecordedEvent[];
  /** Events before it that are not drawn; none where absent. */
  readonly omitted?: number;
  readonly rotations: readonly Rotation[];
  readonly now: Date;
}

const WIDTH = 1200;
const LEFT = 230;
const RIGHT = 1168;
const TOP = 108;
const LANE = 42;
/** Lanes of delegations; what they leave out is said. */
const MOST_LANES = 16;
/** Marks closer than that become one. */
const MARK_GAP = 5;
/** Room for the word above a line. */
const LABEL = 50;
/** Lines of the list below. */
const LISTED = 14;
const LINE = 19;

/**
 * The life of a repository as SVG: a lane for each role with the versions that were current, red where
 * they had expired meanwhile; rotations, deletions and what was done last, by whom. Self-contained:
 * no script, no font, no link. Pure; text that others chose is escaped and shortened.
 */
export function historySvg({ gun, stream, omitted = 0, rotations, now }: Picture): string {
  const all = lanesOf(stream);
  const lanes = all.slice(0, MOST_LANES);
  const scale = scaleOf(stream, now);
  const bottom = TOP + Math.max(lanes.length, 1) * LANE;
  const hidden = all.length - lanes.length;
  const drawn = lanes.map((lane, index) => drawLane(lane, TOP + index * LANE, scale, now));
  const merged = drawn.reduce((sum, lane) => sum + lane.merged, 0);
  const list = lastDeeds(stream, rotations);
  const height = bottom + 96 + (list.length + 1) * LINE;
  const notes = [
    ...(omitted > 0 ? [`not drawn: the first ${counted(omitted, 'event')}`] : []),
    ...(merged > 0 ? [`left out, for they stand close to others: ${counted(merged, 'mark')}`] : []),
    ...(hidden > 0 ? [`without a lane: ${counted(hidden, 'delegation')}`] : []),
  ].join('; ');
  const state = stateOf(stream, all, now);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">History of ${escapeXml(shorten(gun, 200))}</title>`,
    `<desc id="desc">${escapeXml(`${summaryOf(stream)}. ${state.text}.`)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    text(24, 36, 'name', shorten(gun, 72)),
    text(24, 60, 'soft', summaryOf(stream)),
    text(24, 84, state.isBad ? 'bad strong' : 'strong', state.text),
    ...axis(scale, bottom),
    ...drawn.map(({ svg }) => svg),
    ...crossLines(stream, scale, bottom),
    ...keyMarks(stream, rotations, lanes, scale),
    nowLine(now, scale, bottom),
    ...legend(bottom + 46),
    ...(notes === ''
      ? []
      : [text(24, bottom + 70, 'soft', `${notes.slice(0, 1).toUpperCase()}${notes.slice(1)}.`)]),
    text(24, bottom + 96, 'strong', 'Done last, renewals left out'),
    ...list.map((line, index) => deed(line, bottom + 96 + (index + 1) * LINE)),
    '</svg>',
    '',
  ].join('\n');
}

/** Colours that are told apart on light and on dark paper, and by who sees no red or green. */
const STYLE = [
  'text{font:13px system-ui,sans-serif;fill:#24292f}',
  '.paper{fill:#fff}.name{font-size:20px;font-weight:600}.strong{font-weight:600}.soft{fill:#57606a}',
  '.bad{fill:#c22f2f}.small{font-size:11px}.right{text-anchor:end}.middle{text-anchor:middle}',
  '.grid{stroke:#d0d7de}.client{fill:#2f6fdb}.server{fill:#8b949e}.expired{fill:#d03b3b}',
  '.ahead{fill:#2f6fdb;opacity:.18}.mark{stroke:#fff;stroke-width:1.5}.tick{fill:#8b949e}',
  '.key{fill:#b7791f;stroke:#fff}.gone{stroke:#c22f2f;stroke-width:2}.back{stroke:#2a8c4a;stroke-width:2}',
  '.now{stroke:#57606a;stroke-dasharray:4 4}',
  '@media(prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.soft{fill:#9198a1}',
  '.grid{stroke:#30363d}.mark,.key{stroke:#0d1117}.bad{fill:#ff7b72}.now{stroke:#9198a1}}',
].join('');

interface Scale {
  readonly start: number;
  readonly end: number;
  readonly x: (time: number) => number;
}

/** From the first event to now, and some room for what will expire. */
function scaleOf(stream: readonly RecordedEvent[], now: Date): Scale {
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

function axis({ start, end, x }: Scale, bottom: number): string[] {
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

const DAY = 86_400_000;
const YEAR = 365 * DAY;

interface DrawnLane {
  readonly svg: string;
  /** Marks that were not drawn. */
  readonly merged: number;
}

function drawLane({ role, spans }: Lane, y: number, scale: Scale, now: Date): DrawnLane {
  const middle = y + LANE / 2;
  const last = spans.at(-1);
  const marks = thinned(spans, scale);
  const about = last === undefined ? '' : describeLast(last, now);
  const isBad = last !== undefined && last.to === undefined && last.expires <= now.getTime();
  return {
    merged: spans.length - marks.length,
    svg: [
      `<g><title>${escapeXml(`${role}: ${counted(spans.length, 'version')}`)}</title>`,
      text(24, middle - 3, 'strong', shorten(role, 26)),
      text(24, middle + 12, isBad ? 'bad small' : 'soft small', about),
      `<line class="grid" x1="${LEFT}" y1="${y + LANE}" x2="${RIGHT}" y2="${y + LANE}"/>`,
      ...bars(spans, middle, scale, now),
      ...marks.map((span) => mark(span, middle, scale)),
      '</g>',
    ].join(''),
  };
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

/** Deletions, and what took them back, go across all lanes; those that fall together are one. */
function crossLines(stream: readonly RecordedEvent[], { x }: Scale, bottom: number): string[] {
  const drawn = new Map<string, string>();
  let labelled = -Infinity;
  for (const { position, event } of stream) {
    const kind = crossing(event.type);
    if (kind === undefined) continue;
    const at = x(Date.parse(event.at));
    const key = `${kind.name} ${Math.round(at)}`;
    if (drawn.has(key)) continue;
    const title = `${kind.name}, ${event.at}, position ${position}`;
    const hasRoom = at - labelled > LABEL;
    if (hasRoom) labelled = at;
    drawn.set(
      key,
      `<line class="${kind.className}" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${bottom}"><title>${escapeXml(title)}</title></line>` +
        (hasRoom ? text(at, TOP - 10, 'small middle', kind.name) : ''),
    );
  }
  return [...drawn.values()];
}

function crossing(type: string): { name: string; className: string } | undefined {
  if (type === 'RepositoryDeleted') return { name: 'deleted', className: 'gone' };
  return type === 'RepositoryRestored' ? { name: 'restored', className: 'back' } : undefined;
}

/** Diamonds: keys that the server made, and roots that trust other keys. */
function keyMarks(
  stream: readonly RecordedEvent[],
  rotations: readonly Rotation[],
  lanes: readonly Lane[],
  { x }: Scale,
): string[] {
  const at = new Map(stream.map(({ position, event }) => [position, event.at]));
  const rowOf = new Map(lanes.map(({ role }, index) => [role as string, index]));
  const drawn = new Map<string, string>();
  const draw = (role: string, time: string, title: string) => {
    const row = rowOf.get(role);
    if (row === undefined) return;
    const centre = x(Date.parse(time));
    const top = TOP + row * LANE + 2;
    drawn.set(
      `${role} ${Math.round(centre / 3)}`,
      `<path class="key" d="M${centre} ${top}l6 6l-6 6l-6 -6z"><title>${escapeXml(title)}</title></path>`,
    );
  };
  for (const { event } of stream) {
    if (event.type === 'KeyCreated') {
      const { role, keyid } = event.data;
      draw(role, event.at, `key ${keyid.slice(0, 12)} made for ${role}, ${event.at}`);
    }
  }
  for (const { position, roles } of rotations) {
    const time = at.get(position);
    for (const role of roles) {
      if (time !== undefined) draw(role, time, `keys of ${role} rotated, ${time}`);
    }
  }
  return [...drawn.values()];
}

function nowLine(now: Date, { x }: Scale, bottom: number): string {
  const at = x(now.getTime());
  return (
    `<line class="now" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${bottom}"/>` +
    text(at + 5, bottom - 4, 'soft small', 'now')
  );
}

const legendColumn = (column: number) => 24 + column * 158;

function legend(y: number): string[] {
  return [
    `<circle class="mark client" cx="${legendColumn(0) + 6}" cy="${y - 4}" r="6"/>`,
    text(legendColumn(0) + 18, y, 'small', 'published by a client'),
    `<circle class="mark server" cx="${legendColumn(1) + 6}" cy="${y - 4}" r="6"/>`,
    text(legendColumn(1) + 18, y, 'small', 'signed for a publish'),
    `<rect class="tick" x="${legendColumn(2) + 5}" y="${y - 13}" width="2" height="18"/>`,
    text(legendColumn(2) + 18, y, 'small', 'renewed'),
    `<path class="key" d="M${legendColumn(3) + 6} ${y - 10}l6 6l-6 6l-6 -6z"/>`,
    text(legendColumn(3) + 18, y, 'small', 'key made or rotated'),
    `<rect class="expired" x="${legendColumn(4)}" y="${y - 8}" width="14" height="8" rx="2"/>`,
    text(legendColumn(4) + 18, y, 'small', 'current though expired'),
    `<rect class="ahead" x="${legendColumn(5)}" y="${y - 8}" width="14" height="8" rx="2"/>`,
    text(legendColumn(5) + 18, y, 'small', 'good from now on'),
    `<line class="gone" x1="${legendColumn(6) + 6}" y1="${y - 13}" x2="${legendColumn(6) + 6}" y2="${y + 4}"/>`,
    text(legendColumn(6) + 18, y, 'small', 'deleted (green: restored)'),
  ];
}

function summaryOf(stream: readonly RecordedEvent[]): string {
  const [first, last] = [stream[0], stream.at(-1)];
  if (first === undefined || last === undefined) return 'No events';
  const count = (...types: string[]) =>
    stream.filter(({ event }) => types.includes(event.type)).length;
  return [
    `${counted(stream.length, 'event')}, positions ${first.position} to ${last.position}`,
    `${first.event.at.slice(0, 16).replace('T', ' ')} to ${last.event.at.slice(0, 16).replace('T', ' ')} UTC`,
    `${counted(count('UpdatePublished'), 'publish', 'publishes')}, ${counted(count('RoleRenewed'), 'renewal')}`,
  ].join(' · ');
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function stateOf(
  stream: readonly RecordedEvent[],
  lanes: readonly Lane[],
  now: Date,
): { text: string; isBad: boolean } {
  const current = lanes.filter(({ spans }) => spans.at(-1)?.to === undefined);
  if (lanes.length === 0) return { text: 'Nothing was published', isBad: false };
  if (current.length === 0) {
    const deletion = stream.findLast(({ event }) => event.type === 'RepositoryDeleted');
    const when = deletion?.event.at.slice(0, 16).replace('T', ' ');
    return { text: `Deleted at ${when} UTC`, isBad: true };
  }
  const expired = current.filter(({ spans }) => (spans.at(-1)?.expires ?? 0) <= now.getTime());
  if (expired.length > 0) {
    const names = shorten(expired.map(({ role }) => role).join(', '), 100);
    return { text: `Expired: ${names}`, isBad: true };
  }
  const next = current.toSorted((a, b) => expiryOf(a) - expiryOf(b))[0];
  const date = next && new Date(expiryOf(next)).toISOString().slice(0, 10);
  return { text: `Good; the first to expire is ${next?.role}, ${date}`, isBad: false };
}

function expiryOf({ spans }: Lane): number {
  return spans.at(-1)?.expires ?? Infinity;
}

interface Deed {
  readonly at: string;
  readonly position: string;
  readonly who: string;
  readonly what: string;
}

function lastDeeds(stream: readonly RecordedEvent[], rotations: readonly Rotation[]): Deed[] {
  const rotated = new Map(rotations.map(({ position, roles }) => [position, roles]));
  return stream
    .filter(({ event }) => event.type !== 'RoleRenewed')
    .slice(-LISTED)
    .toReversed()
    .map(({ position, event }) => ({
      at: event.at.slice(0, 19).replace('T', ' '),
      position: String(position),
      who: event.cause.subject ?? event.cause.certificate ?? event.cause.operator ?? 'not known',
      what: whatOf(event, rotated.get(position)),
    }));
}

function whatOf(event: RecordedEvent['event'], rotated: readonly string[] = []): string {
  switch (event.type) {
    case 'KeyCreated':
      return `made a ${event.data.role} key, ${event.data.keyid.slice(0, 12)}…`;
    case 'UpdatePublished':
    case 'RoleRenewed': {
      const files = event.data.metafiles.filter(({ madeBy }) => madeBy === 'client');
      const names = files.map(({ role, version }) => `${role} ${version}`).join(', ');
      const rotation = rotated.length === 0 ? '' : `, with other keys for ${rotated.join(', ')}`;
      return `published ${names || 'nothing of its own'}${rotation}`;
    }
    case 'RepositoryDeleted':
      return 'deleted the repository';
    case 'RepositoryRestored': {
      const { reason } = event.cause;
      return `took the deletion back${reason === undefined ? '' : `: ${reason}`}`;
    }
  }
}

function deed({ at, position, who, what }: Deed, y: number): string {
  return [
    text(24, y, 'soft', at),
    text(230, y, 'soft right', position),
    text(250, y, '', shorten(who, 34)),
    text(510, y, '', shorten(what, 96)),
  ].join('');
}

function text(x: number, y: number, className: string, content: string): string {
  const named = className === '' ? '' : ` class="${className}"`;
  return `<text${named} x="${x}" y="${y}">${escapeXml(content)}</text>`;
}
