import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { retold, type EventStore, type MetafileRef, type RecordedEvent } from '@scrivener/events';
import type { Gun } from '@scrivener/tuf';

/** Where the tree says how far it has got; a dot keeps it from being a GUN's. */
const STATE = '.replay.json';

/** Bytes of metafiles that are asked for at once. */
const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** What a file is called until it is whole. */
const DRAFT = '.part';

/** Of a name in a directory, in bytes; what the file systems of Linux hold. */
const LONGEST_NAME = 255;

/** How far a tree has got. */
interface State {
  readonly position: number;
  /** Of the event at that position: another log has another. */
  readonly hash: string;
}

/** What the log was when it ended at some event, as files that any web server can serve. */
export interface StaticTree {
  /** Of the last event in it; 0 where it is new. */
  readonly position: number;
  /** The next events of the log. May be killed at any moment, and then be opened again. */
  apply(events: readonly RecordedEvent[]): Promise<void>;
  /** Repositories of which not all is in the tree, for a name of theirs cannot be one in a file system. */
  readonly leftOut: ReadonlySet<Gun>;
}

export class StaticTreeError extends Error {
  override readonly name = 'StaticTreeError';
}

/**
 * Opens a directory that is empty, absent, or a tree of the same log. Its files have the paths of
 * WIRE §3: `v2/<gun>/_trust/tuf/` with `<role>.json` for what is current, `<version>.<role>.json` and
 * `<role>.<sha256>.json` for all that ever was since the repository was last deleted.
 *
 * Every file comes to its place whole, by a rename. The position is noted behind each batch, so what
 * was begun and not noted is done again, to the same end. Throws `StaticTreeError`.
 */
export async function openStaticTree(
  root: string,
  events: Pick<EventStore, 'readAfter' | 'readBytes' | 'readStream'>,
): Promise<StaticTree> {
  await mkdir(root, { recursive: true });
  let { position } = await readState(root, events);
  const leftOut = new Set<Gun>();

  const write = async (batch: readonly RecordedEvent[]) => {
    const bytes = await events.readBytes([
      ...new Set(batch.flatMap(refsOf).map((ref) => ref.sha256)),
    ]);
    for (const recorded of batch) {
      const { gun } = recorded.event;
      const directory = directoryOf(root, gun);
      const names = refsOf(recorded).flatMap(namesOf);
      if (directory === undefined || !names.every(isName)) {
        leftOut.add(gun);
        continue;
      }
      if (recorded.event.type === 'RepositoryDeleted') await rm(directory, DELETED);
      for (const ref of refsOf(recorded)) {
        const content = bytes.get(ref.sha256);
        if (content === undefined) {
          throw new StaticTreeError(`the log names ${ref.sha256} and does not hold it`);
        }
        for (const name of namesOf(ref)) await place(join(directory, name), content);
      }
    }
  };

  return {
    get position() {
      return position;
    },
    leftOut,
    async apply(batch) {
      const last = batch.at(-1);
      if (last === undefined) return;
      for (const slice of slices(await retold(batch, events))) await write(slice);
      const state: State = { position: last.position, hash: last.hash };
      await place(join(root, STATE), Buffer.from(`${JSON.stringify(state)}\n`));
      position = last.position;
    },
  };
}

const DELETED = { recursive: true, force: true } as const;

async function readState(root: string, events: Pick<EventStore, 'readAfter'>): Promise<State> {
  const file = join(root, STATE);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) {
    if ((await readdir(root)).some((name) => name !== 'v2' && !name.startsWith(STATE))) {
      throw new StaticTreeError(`${root} is not empty, and no replay has been there`);
    }
    return { position: 0, hash: '' };
  }
  const state = parseState(text);
  if (state === undefined) throw new StaticTreeError(`${file} is not what a replay wrote`);
  const [there] = await events.readAfter(state.position - 1, 1);
  if (there?.hash !== state.hash) throw new StaticTreeError(`${root} is a replay of another log`);
  return state;
}

function parseState(text: string): State | undefined {
  try {
    const state = JSON.parse(text) as Partial<State>;
    const { position, hash } = state;
    const isState = Number.isSafeInteger(position) && typeof hash === 'string';
    return isState ? (state as State) : undefined;
  } catch {
    return undefined;
  }
}

function refsOf({ event }: RecordedEvent): readonly MetafileRef[] {
  return event.type === 'UpdatePublished' || event.type === 'RoleRenewed'
    ? event.data.metafiles
    : [];
}

/** In the order of the log, each of a bounded number of bytes (but for an event that has more alone). */
function* slices(batch: readonly RecordedEvent[]): Generator<readonly RecordedEvent[]> {
  let slice: RecordedEvent[] = [];
  let bytes = 0;
  for (const recorded of batch) {
    const more = refsOf(recorded).reduce((sum, { length }) => sum + length, 0);
    if (slice.length > 0 && bytes + more > BYTES_AT_ONCE) {
      yield slice;
      [slice, bytes] = [[], 0];
    }
    slice.push(recorded);
    bytes += more;
  }
  yield slice;
}

/** Roles are top-level names or delegations (WIRE §7.5): none of them leads out of its directory. */
function namesOf({ role, version, sha256 }: MetafileRef): readonly string[] {
  return [`${role}.${sha256}.json`, `${version}.${role}.json`, `${role}.json`];
}

/** Whether the last part of a path, and its draft, can be the name of a file. */
function isName(path: string): boolean {
  return Buffer.byteLength(`${basename(path)}${DRAFT}`) <= LONGEST_NAME;
}

/**
 * Undefined for a GUN that is no path of directories: one that would lead elsewhere, into the files of
 * another, or to a name that no file system holds.
 */
function directoryOf(root: string, gun: Gun): string | undefined {
  const names = gun.split('/');
  const isPath = names.every(
    (name) =>
      name !== '' &&
      name !== '.' &&
      name !== '..' &&
      name !== '_trust' &&
      !name.includes('\0') &&
      Buffer.byteLength(name) <= LONGEST_NAME,
  );
  return isPath ? join(root, 'v2', ...names, '_trust', 'tuf') : undefined;
}

/** Puts a file in its place as a whole. */
async function place(path: string, content: Uint8Array): Promise<void> {
  const draft = `${path}${DRAFT}`;
  await mkdir(dirname(path), { recursive: true });
  const file = await open(draft, 'w');
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
