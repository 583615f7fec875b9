import { retold, type EventStore, type RecordedEvent } from '@scrivener/events';
import type { Gun, RoleName, Sha256 } from '@scrivener/tuf';
import { changeRows, pageOf } from '../changefeed.ts';
import { metafileChanges, type MetafileRow } from '../metafiles.ts';
import { memoryExpiries, projectedExpiries, type ProjectedExpiries } from './expiries.ts';
import { positionWaiters } from '../position-waiters.ts';
import type { Memory } from '../readers.ts';
import type { Change, PublishedFile, ReadModel } from '../read-model.ts';

/** Events per batch. */
const BATCH = 500;

/** One role's stored versions, of which `current` is the highest. */
interface RoleFiles {
  readonly versions: Map<bigint, MetafileRow>;
  readonly checksums: Map<Sha256, MetafileRow>;
  current?: MetafileRow;
}

/** Everything that was projected, up to and with the event at `position`. */
interface Projected {
  position: number;
  readonly files: Map<Gun, Map<RoleName, RoleFiles>>;
  readonly changes: Change[];
  readonly expiries: ProjectedExpiries;
}

const nothing = (): Projected => {
  return { position: 0, files: new Map(), changes: [], expiries: projectedExpiries() };
};

/** A read model that lasts as long as its process. The bytes come from `events`. */
export function memoryReadModel(events: EventStore): ReadModel {
  let projected = nothing();
  const working = new Set<Promise<unknown>>();
  const waiters = positionWaiters();
  const memories: Memory[] = [];

  const alone = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const run = work();
    working.add(run);
    try {
      return await run;
    } finally {
      working.delete(run);
    }
  };
  const projectEvents = async (batch: readonly RecordedEvent[]) => {
    apply(projected, batch, await retold(batch, events));
    const changed = new Map(batch.map(({ event, position }) => [event.gun, position]));
    for (const memory of memories) memory.forget(changed);
    waiters.reached(projected.position);
  };
  const projectBatch = async () => {
    const batch = await events.readAfter(projected.position, BATCH);
    await projectEvents(batch);
    return batch.length === BATCH ? 'more' : 'idle';
  };

  const withBytes = async (row: MetafileRow | undefined): Promise<PublishedFile | undefined> => {
    if (row === undefined) return undefined;
    const { version, sha256, publishedAt } = row;
    const bytes = (await events.readBytes([sha256])).get(sha256);
    return bytes && { bytes, version, sha256, publishedAt: new Date(publishedAt) };
  };
  const files = (gun: Gun, role: RoleName) => projected.files.get(gun)?.get(role);

  return {
    current: (gun, role) => withBytes(files(gun, role)?.current),
    async currentOfServer(gun, role) {
      const expiresAt = projected.expiries.ofServerRoles(gun);
      const file = await withBytes(files(gun, role)?.current);
      return file && { ...file, expiresAt };
    },
    byVersion: (gun, role, version) => withBytes(files(gun, role)?.versions.get(version)),
    byChecksum: (gun, role, sha256) => withBytes(files(gun, role)?.checksums.get(sha256)),

    async changes({ gun, ...query }) {
      const { from, above, below = Infinity, limit } = pageOf(query);
      const between = projected.changes.filter(
        (change) => change.id > above && change.id < below && (gun ?? change.gun) === change.gun,
      );
      return from === 'oldest'
        ? between.slice(0, limit)
        : between.slice(Math.max(0, between.length - limit));
    },

    expiries: memoryExpiries(() => projected.expiries),

    // One process, which forgets in the moment in which it projects.
    readers: {
      join(joining) {
        memories.push(joining);
        return { mayAnswer: () => true };
      },
      seen: async () => {},
    },

    project: async () => (working.size > 0 ? 'busy' : alone(projectBatch)),

    async projectNext(next) {
      if (working.size > 0 || next[0].position !== projected.position + 1) return false;
      await alone(() => projectEvents(next));
      return true;
    },

    checkpoint: async () => projected.position,
    lag: async () => {
      const waiting = await events.readAfter(projected.position, Infinity);
      const [oldest] = waiting;
      const behindMs = oldest === undefined ? 0 : Date.now() - Date.parse(oldest.event.at);
      return {
        position: waiting.at(-1)?.position ?? projected.position,
        checkpoint: projected.position,
        behindMs: Math.max(0, behindMs),
      };
    },
    reached: (position, timeoutMs) => waiters.wait(position, timeoutMs),

    async replay() {
      while (working.size > 0) await Promise.allSettled(working);
      await alone(async () => {
        projected = await projectedFromStart(events);
        for (const memory of memories) memory.forgetAll();
        waiters.reached(projected.position);
      });
    },

    close: async () => waiters.close(),
  };
}

async function projectedFromStart(events: EventStore): Promise<Projected> {
  const projected = nothing();
  for (;;) {
    const batch = await events.readAfter(projected.position, BATCH);
    apply(projected, batch, await retold(batch, events));
    if (batch.length < BATCH) return projected;
  }
}

/** Nothing is awaited here, so readers see all of a batch or nothing. */
function apply(
  projected: Projected,
  batch: readonly RecordedEvent[],
  told: readonly RecordedEvent[],
): void {
  const { removed, added } = metafileChanges(told);
  for (const gun of removed) projected.files.delete(gun);
  for (const row of added) addRow(projected, row);
  for (const { createdAt, gun, version, sha256, category } of changeRows(batch)) {
    const id = projected.changes.length + 1;
    const change = { id, createdAt: new Date(createdAt), gun, version, sha256, category };
    projected.changes.push(change);
  }
  projected.expiries.apply(told);
  projected.position = batch.at(-1)?.position ?? projected.position;
}

function addRow({ files }: Projected, row: MetafileRow): void {
  const roles = files.get(row.gun) ?? new Map<RoleName, RoleFiles>();
  const role: RoleFiles = roles.get(row.role) ?? { versions: new Map(), checksums: new Map() };
  role.versions.set(row.version, row);
  role.checksums.set(row.sha256, row);
  if (role.current === undefined || row.version >= role.current.version) role.current = row;
  roles.set(row.role, role);
  files.set(row.gun, roles);
}
