import type { RoleName } from '@scrivener/tuf';
import type { RecordedEvent } from '../event-store.ts';

/** A version of a role while it was current; times in milliseconds since 1970. */
export interface Span {
  readonly version: bigint;
  readonly from: number;
  /** When the next version came, or a deletion; undefined while it is current. */
  readonly to?: number;
  readonly expires: number;
  readonly madeBy: 'client' | 'server';
  /** Published by a client together with others, or only renewed or brought back. */
  readonly isRenewal: boolean;
  readonly position: number;
}

/** What became of one role. */
export interface Lane {
  readonly role: RoleName;
  readonly spans: readonly Span[];
}

const ORDER: readonly string[] = ['root', 'targets', 'snapshot', 'timestamp'];

/** One lane for each role there ever was: those of the top level, then delegations by name. */
export function lanesOf(stream: readonly RecordedEvent[]): Lane[] {
  const lanes = new Map<RoleName, Span[]>();
  const close = (spans: Span[], to: number) => {
    const last = spans.at(-1);
    if (last !== undefined && last.to === undefined) spans[spans.length - 1] = { ...last, to };
  };
  for (const { position, event } of stream) {
    const from = Date.parse(event.at);
    if (event.type === 'RepositoryDeleted') for (const spans of lanes.values()) close(spans, from);
    if (!('metafiles' in event.data)) continue;
    for (const { role, version, expires, madeBy } of event.data.metafiles) {
      const spans = lanes.get(role) ?? [];
      lanes.set(role, spans);
      close(spans, from);
      const isRenewal = event.type !== 'UpdatePublished';
      spans.push({ version, from, expires: Date.parse(expires), madeBy, isRenewal, position });
    }
  }
  return [...lanes]
    .map(([role, spans]) => ({ role, spans }))
    .sort((a, b) => rank(a.role) - rank(b.role) || (a.role < b.role ? -1 : 1));
}

function rank(role: RoleName): number {
  const at = ORDER.indexOf(role);
  return at === -1 ? ORDER.length : at;
}
