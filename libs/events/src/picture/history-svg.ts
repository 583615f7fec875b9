import type { Gun } from '@scrivener/tuf';
import type { RecordedEvent } from '../event-store.ts';
import { drawLane } from './draw-lane.ts';
import { lanesOf } from './lanes.ts';
import { crossLines, keyMarks } from './marks.ts';
import { deed, lastDeeds, legend, stateOf, summaryOf } from './notes.ts';
import type { Rotation } from './rotations.ts';
import { axis, LANE, nowLine, scaleOf, TOP } from './scale.ts';
import { counted, escapeXml, shorten, text } from './xml.ts';

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
const LINE = 19;
/** Lanes of delegations; what they leave out is said. */
const MOST_LANES = 16;

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
