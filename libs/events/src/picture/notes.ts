import type { RecordedEvent } from '../event-store.ts';
import type { Lane } from './lanes.ts';
import type { Rotation } from './rotations.ts';
import { counted, shorten, text } from './xml.ts';

/** Lines of the list below. */
const LISTED = 14;

const legendColumn = (column: number) => 24 + column * 158;

export function legend(y: number): string[] {
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

export function summaryOf(stream: readonly RecordedEvent[]): string {
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

export function stateOf(
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

export function lastDeeds(
  stream: readonly RecordedEvent[],
  rotations: readonly Rotation[],
): Deed[] {
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

export function deed({ at, position, who, what }: Deed, y: number): string {
  return [
    text(24, y, 'soft', at),
    text(230, y, 'soft right', position),
    text(250, y, '', shorten(who, 34)),
    text(510, y, '', shorten(what, 96)),
  ].join('');
}
