import type { RecordedEvent } from '../event-store.ts';
import type { Lane } from './lanes.ts';
import type { Rotation } from './rotations.ts';
import { LANE, TOP, type Scale } from './scale.ts';
import { escapeXml, text } from './xml.ts';

/** Room for the word above a line. */
const LABEL = 50;

/** Deletions, and what took them back, go across all lanes; those that fall together are one. */
export function crossLines(
  stream: readonly RecordedEvent[],
  { x }: Scale,
  bottom: number,
): string[] {
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
export function keyMarks(
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
