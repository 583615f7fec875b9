import {
  contentsOf,
  type Metafile,
  type RoleName,
  type RoleSigners,
  type Sha256,
} from '@scrivener/tuf';
import type { EventStore, RecordedEvent } from '../event-store.ts';
import type { MetafileRef, RepositoryEvent } from '../repository-events.ts';

/** A root that trusts other keys than the one before it. */
export interface Rotation {
  /** Of the event that published it. */
  readonly position: number;
  /** Whose keys or threshold are others. */
  readonly roles: readonly RoleName[];
}

/** Roots that are looked at: the last ones. */
const MOST_ROOTS = 500;
const AT_ONCE = 50;

/** Which roots of a stream rotated keys. Reads the last 500 of them at most. */
export async function rotationsOf(
  stream: readonly RecordedEvent[],
  events: Pick<EventStore, 'readBytes'>,
): Promise<readonly Rotation[]> {
  const roots = rootsOf(stream).slice(-MOST_ROOTS);
  const rotations: Rotation[] = [];
  let before: ReadonlyMap<RoleName, string> | undefined;
  for (let at = 0; at < roots.length; at += AT_ONCE) {
    const page = roots.slice(at, at + AT_ONCE);
    const files = await events.readBytes(page.map(({ ref }) => ref.sha256));
    for (const { position, ref, isFirst } of page) {
      const signers = signersIn(ref, files);
      if (signers === undefined) continue; // a picture tells what can be told
      const previous: ReadonlyMap<RoleName, string> | undefined = isFirst ? undefined : before;
      before = signers;
      if (previous === undefined) continue;
      const roles = [...signers].filter(([role, keys]) => previous.get(role) !== keys);
      if (roles.length > 0) rotations.push({ position, roles: roles.map(([role]) => role) });
    }
  }
  return rotations;
}

interface Root {
  readonly position: number;
  readonly ref: MetafileRef;
  /** Nothing was trusted before it, or all that was is deleted. */
  readonly isFirst: boolean;
}

function rootsOf(stream: readonly RecordedEvent[]): Root[] {
  const roots: Root[] = [];
  let isFirst = true;
  for (const { position, event } of stream) {
    if (event.type === 'RepositoryDeleted') isFirst = true;
    const ref = metafilesOf(event).find(({ role }) => role === 'root');
    if (ref === undefined) continue;
    roots.push({ position, ref, isFirst });
    isFirst = false;
  }
  return roots;
}

function metafilesOf(event: RepositoryEvent): readonly MetafileRef[] {
  const hasRoots = event.type === 'UpdatePublished' || event.type === 'RepositoryRestored';
  return hasRoots ? event.data.metafiles : [];
}

/** The keyids and threshold of each role as one text; undefined for a root that nobody can read. */
function signersIn(
  ref: MetafileRef,
  files: ReadonlyMap<Sha256, Uint8Array>,
): ReadonlyMap<RoleName, string> | undefined {
  const bytes = files.get(ref.sha256);
  if (bytes === undefined) throw new Error(`the log names ${ref.sha256} and does not hold it`);
  const { role, version, sha256 } = ref;
  const root: Metafile = { role, version, sha256, bytes };
  const signers = readSigners(root);
  return (
    signers &&
    new Map(
      signers.map(({ role: of, keyids, threshold }) => [
        of,
        `${threshold} of ${[...keyids].sort().join(' ')}`,
      ]),
    )
  );
}

function readSigners(root: Metafile): readonly RoleSigners[] | undefined {
  try {
    return contentsOf(root).signers;
  } catch {
    return undefined;
  }
}
