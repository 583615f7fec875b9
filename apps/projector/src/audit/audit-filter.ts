import type { Moment, RecordedEvent, RepositoryEvent } from '@scrivener/events';
import type { AuditEntry } from './audit-entry.ts';

type EventKind = RepositoryEvent['type'];

/** All kinds; the compiler misses one that is new. */
const KINDS: Readonly<Record<EventKind, true>> = {
  KeyCreated: true,
  UpdatePublished: true,
  RoleRenewed: true,
  RepositoryDeleted: true,
  RepositoryRestored: true,
};

export const EVENT_KINDS: readonly string[] = Object.keys(KINDS);

/** What an auditor asks for: what is absent, everything has. */
export interface AuditFilter {
  /** Both ends are in: positions, or times by what the events say of themselves. */
  readonly since?: Moment | undefined;
  readonly until?: Moment | undefined;
  /** Any of them. */
  readonly kinds?: readonly string[];
  /** A role that became current, or that a key was made for; any of them. */
  readonly roles?: readonly string[];
  /** The beginning of the id of a key that was made, or that signed what became current; any of them. */
  readonly keys?: readonly string[];
}

/** What can be told without the files: whose files are not wanted need not be read. */
export function mayMatch(filter: AuditFilter, { position, event }: RecordedEvent): boolean {
  const { since, until, kinds = [], roles = [] } = filter;
  if (since !== undefined && isBefore(position, event.at, since)) return false;
  if (until !== undefined && isAfter(position, event.at, until)) return false;
  if (kinds.length > 0 && !kinds.includes(event.type)) return false;
  return roles.length === 0 || rolesOf(event).some((role) => roles.includes(role));
}

/** Whether one of the keys that are asked for was made or signed. */
export function hasKey({ keys = [] }: AuditFilter, { event, files }: AuditEntry): boolean {
  if (keys.length === 0) return true;
  const made = event.type === 'KeyCreated' ? [event.data.keyid] : [];
  const ids = [...made, ...files.flatMap(({ keyids }) => keyids ?? [])];
  return ids.some((id) => keys.some((key) => id.startsWith(key)));
}

/** Nothing at this position or behind it is asked for. */
export function isPast({ until }: AuditFilter, position: number): boolean {
  return until?.kind === 'position' && position > until.position;
}

function isBefore(position: number, at: string, since: Moment): boolean {
  return since.kind === 'position' ? position < since.position : new Date(at) < since.time;
}

function isAfter(position: number, at: string, until: Moment): boolean {
  return until.kind === 'position' ? position > until.position : new Date(at) > until.time;
}

function rolesOf(event: RepositoryEvent): readonly string[] {
  switch (event.type) {
    case 'KeyCreated':
      return [event.data.role];
    case 'UpdatePublished':
    case 'RoleRenewed':
    case 'RepositoryRestored':
      return event.data.metafiles.map(({ role }) => role);
    case 'RepositoryDeleted':
      return [];
  }
}
