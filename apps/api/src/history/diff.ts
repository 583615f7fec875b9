import {
  causeOf,
  type Moment,
  emptyRepository,
  evolveAll,
  type MetafileRef,
  type RecordedEvent,
  type Repository,
} from '@scrivener/events';
import {
  contentsOf,
  type Contents,
  type Gun,
  type Metafile,
  type RoleName,
  type RoleSigners,
  type TargetEntry,
} from '@scrivener/tuf';
import { z } from 'zod';
import { answer, JSON_TEXT } from '../answer.ts';
import { withDeadline } from '../deadline.ts';
import { jsonText } from '../json-text.ts';
import { parseQuery } from '../query.ts';
import type { Handler } from '../routes/route.ts';
import { notThere, type Past } from './at.ts';
import { causeDocument } from './event-document.ts';
import { eventsUntil, parseMoment, refusal, refuseFuture } from './moment.ts';

const versionText = z.string().regex(/^-?\d+$/);
const side = z.strictObject({
  position: z
    .int()
    .min(0)
    .describe('of the last event of this repository that had happened; 0: none'),
  version: z.int().min(0).describe('of that event'),
});
const entry = z.strictObject({
  length: z
    .string()
    .regex(/^-?\d+$/)
    .describe('bytes'),
  hashes: z.record(z.string(), z.string()).describe('hex digits by algorithm'),
  custom: z.string().optional().describe('canonical JSON'),
});
const by = z
  .int()
  .min(1)
  .optional()
  .describe('position of the event that did it, the last of several');

/** What changed between two moments. */
export const diffDocument = z.strictObject({
  gun: z.string(),
  from: side,
  to: side,
  roles: z
    .array(
      z.strictObject({
        role: z.string(),
        from: versionText.optional().describe('absent where there was none'),
        to: versionText.optional().describe('absent where there is none any more'),
        by,
      }),
    )
    .describe('other versions of roles'),
  signers: z
    .array(
      z.strictObject({
        role: z.string(),
        named_by: z.string().describe('the role that names its keys'),
        added: z.array(z.string()).describe('keyids'),
        removed: z.array(z.string()).describe('keyids'),
        threshold: z.strictObject({ from: versionText, to: versionText }).optional(),
        by,
      }),
    )
    .describe('other keys and thresholds; a role that is new or gone has all its keys here'),
  targets: z
    .array(
      z.strictObject({
        change: z.enum(['added', 'removed', 'moved']),
        role: z.string(),
        name: z.string(),
        from: entry.optional(),
        to: entry.optional(),
        by,
      }),
    )
    .describe('tags, one page of them'),
  next: z.int().optional().describe('the `after` of the next page of targets'),
  events: z
    .array(
      z.strictObject({
        position: z.int().min(1),
        at: z.iso.datetime(),
        type: z.string(),
        cause: causeDocument,
        roles: z.array(z.strictObject({ role: z.string(), version: versionText })),
      }),
    )
    .describe('what happened in between: the last 1000 events'),
  events_total: z.int().min(0),
});

type Diff = z.output<typeof diffDocument>;

/** Bytes of files that are compared for one answer. */
const MOST_BYTES = 32 * 1024 * 1024;
const SHOWN_EVENTS = 1_000;
const LARGEST_PAGE = 10_000;

/**
 * `GET /_notary_server/v1/guns/{gun}/diff?from=…[&to=…][&limit=1000][&after=…]`: what came, went and
 * changed between two moments, each a position or a time, and by whom.
 */
export function getDiff(past: Past): Handler<'HistoryDiff'> {
  return async ({ gun }, { res, query, access }) => {
    const wanted = parseWanted(parseQuery(query));
    const compare = async () => {
      const last = await past.events.lastPosition();
      const { from, to = { kind: 'position', position: last } } = wanted;
      refuseFuture('from', from, last, past.now());
      refuseFuture('to', to, last, past.now());
      const stream = await past.streams.read(gun);
      const [start, end] = [eventsUntil(stream, from), eventsUntil(stream, to)];
      if (start > end) throw refusal('to', 'no earlier than from');
      const range = { gun, before: stream.slice(0, start), between: stream.slice(start, end) };
      return diffOf(past, range, wanted, access.isAdmin ?? false);
    };
    const diff = await withDeadline(past.timeoutMs, () => past.turnstile.run(compare));
    const headers = { 'Content-Type': JSON_TEXT, 'Cache-Control': 'no-store' };
    answer(res, 200, headers, jsonText(diff));
  };
}

interface Wanted {
  readonly from: Moment;
  readonly to?: Moment;
  readonly limit: number;
  readonly after: number;
}

function parseWanted(parameters: ReadonlyMap<string, string>): Wanted {
  const whole = (name: string, byDefault: number, min: number, max: number): number => {
    const text = parameters.get(name) || String(byDefault);
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw refusal(name, `${min} to ${max}`);
    return value;
  };
  const to = parameters.get('to') ?? '';
  return {
    from: parseMoment('from', parameters.get('from') ?? ''),
    ...(to !== '' && { to: parseMoment('to', to) }),
    limit: whole('limit', 1_000, 1, LARGEST_PAGE),
    after: whole('after', 0, 0, 999_999_999),
  };
}

interface Range {
  readonly gun: Gun;
  readonly before: readonly RecordedEvent[];
  readonly between: readonly RecordedEvent[];
}

async function diffOf(
  past: Past,
  { gun, before, between }: Range,
  { after, limit }: Wanted,
  isAdmin: boolean,
): Promise<Diff> {
  const old = evolveAll(emptyRepository(gun), before);
  const young = evolveAll(old, between);
  const changed = changedRoles(old, young);
  const contents = await readContents(past, changed);
  const byOf = lastEvents(between);
  const all = changed.flatMap(({ role, from, to }) => {
    const by = byOf(role);
    return targetChanges(contents(from).targets, contents(to).targets).map((change) => ({
      role,
      ...change,
      ...(by !== undefined && { by }),
    }));
  });
  const end = after + limit;
  return {
    gun,
    from: sideOf(old),
    to: sideOf(young),
    roles: changed.map(({ role, from, to }) => {
      const by = byOf(role);
      return {
        role,
        ...(from && { from: from.version.toString() }),
        ...(to && { to: to.version.toString() }),
        ...(by !== undefined && { by }),
      };
    }),
    signers: changed.flatMap(({ role, from, to }) => {
      const by = byOf(role);
      return signerChanges(contents(from).signers, contents(to).signers).map((change) => ({
        ...change,
        named_by: role,
        ...(by !== undefined && { by }),
      }));
    }),
    targets: all.slice(after, end),
    ...(end < all.length && { next: end }),
    events: between.slice(-SHOWN_EVENTS).map((recorded) => shownEvent(recorded, isAdmin)),
    events_total: between.length,
  };
}

function sideOf({ position, head }: Repository): z.output<typeof side> {
  return { position, version: head.version };
}

interface ChangedRole {
  readonly role: RoleName;
  readonly from: MetafileRef | undefined;
  readonly to: MetafileRef | undefined;
}

/** By name, so that pages go together. */
function changedRoles(old: Repository, young: Repository): ChangedRole[] {
  const roles = [...new Set([...old.current.keys(), ...young.current.keys()])].sort();
  return roles
    .map((role) => ({ role, from: old.current.get(role), to: young.current.get(role) }))
    .filter(({ from, to }) => from?.sha256 !== to?.sha256);
}

const NOTHING: Contents = { signers: [], targets: new Map() };

async function readContents(
  { events }: Past,
  changed: readonly ChangedRole[],
): Promise<(ref: MetafileRef | undefined) => Contents> {
  const refs = changed
    .filter(({ role }) => role !== 'snapshot' && role !== 'timestamp')
    .flatMap(({ from, to }) => [from, to])
    .filter((ref) => ref !== undefined);
  if (refs.reduce((bytes, { length }) => bytes + length, 0) > MOST_BYTES) {
    throw refusal(
      'from',
      `a moment since when less has changed: files of ${MOST_BYTES} bytes at most`,
    );
  }
  const files = await events.readBytes(refs.map(({ sha256 }) => sha256));
  const read = new Map(
    refs.map(({ role, version, sha256 }) => {
      const bytes = files.get(sha256);
      if (bytes === undefined) throw new Error(`the log names ${sha256} and does not hold it`);
      return [sha256, readable({ role, version, sha256, bytes })];
    }),
  );
  return (ref) => (ref && read.get(ref.sha256)) ?? NOTHING;
}

/** Nobody is told that all tags are gone because a file cannot be read. */
function readable(file: Metafile): Contents {
  try {
    return contentsOf(file);
  } catch {
    throw notThere(`${file.role} ${file.version} is no file that can be read`);
  }
}

/** The position of the last event that published a role, took all roles away, or brought them back. */
function lastEvents(between: readonly RecordedEvent[]): (role: RoleName) => number | undefined {
  const last = new Map<RoleName, number>();
  let ofAll: number | undefined;
  let beforeDeletion: ReadonlyMap<RoleName, number> = new Map();
  for (const { position, event } of between) {
    if (event.type === 'RepositoryRestored') {
      for (const { role } of event.data.metafiles) {
        last.set(role, beforeDeletion.get(role) ?? position);
      }
    } else if ('metafiles' in event.data) {
      for (const { role } of event.data.metafiles) last.set(role, position);
    } else if (event.type === 'RepositoryDeleted') {
      beforeDeletion = new Map(last);
      last.clear();
      ofAll = position;
    }
  }
  return (role) => last.get(role) ?? ofAll;
}

function targetChanges(from: Contents['targets'], to: Contents['targets']): TargetChange[] {
  const names = [...new Set([...from.keys(), ...to.keys()])].sort();
  return names.flatMap((name): TargetChange[] => {
    const [old, young] = [shownEntry(from.get(name)), shownEntry(to.get(name))];
    if (old === undefined) return young ? [{ change: 'added', name, to: young }] : [];
    if (young === undefined) return [{ change: 'removed', name, from: old }];
    const isSame = jsonText(old) === jsonText(young);
    return isSame ? [] : [{ change: 'moved', name, from: old, to: young }];
  });
}

type Entry = z.output<typeof entry>;
type TargetChange = Omit<Diff['targets'][number], 'role' | 'by'>;

/** Hashes in the order of their names, so that the same entry is the same text. */
function shownEntry(target: TargetEntry | undefined): Entry | undefined {
  if (target === undefined) return undefined;
  const { length, hashes, custom } = target;
  return {
    length: length.toString(),
    hashes: Object.fromEntries([...hashes].sort(([a], [b]) => (a < b ? -1 : 1))),
    ...(custom !== undefined && { custom }),
  };
}

function signerChanges(
  from: readonly RoleSigners[],
  to: readonly RoleSigners[],
): Omit<Diff['signers'][number], 'named_by'>[] {
  const roles = [...new Set([...from, ...to].map(({ role }) => role))].sort();
  return roles.flatMap((role) => {
    const old = from.find((each) => each.role === role);
    const young = to.find((each) => each.role === role);
    const added = without(young?.keyids, old?.keyids);
    const removed = without(old?.keyids, young?.keyids);
    const isOther = old !== undefined && young !== undefined && old.threshold !== young.threshold;
    if (added.length === 0 && removed.length === 0 && !isOther) return [];
    const threshold = isOther && {
      threshold: { from: old.threshold.toString(), to: young.threshold.toString() },
    };
    return [{ role, added, removed, ...threshold }];
  });
}

function without(keyids: readonly string[] = [], others: readonly string[] = []): string[] {
  return [...new Set(keyids)].filter((keyid) => !others.includes(keyid));
}

function shownEvent({ position, event }: RecordedEvent, isAdmin: boolean): Diff['events'][number] {
  return {
    position,
    at: event.at,
    type: event.type,
    cause: causeOf(event.cause, { hasAddress: isAdmin }),
    roles:
      'metafiles' in event.data
        ? event.data.metafiles.map(({ role, version }) => ({ role, version: version.toString() }))
        : [],
  };
}
