import type { Gun } from '@scrivener/tuf';
import { exchange, getFile } from '../tuf-http.ts';
import type { Attempt, History } from './history.ts';
import type { Database, LoggedEvent, LoggedFile } from './log.ts';
import { listed, sha256, verifyRoot, verifyState } from './verifier.ts';

/** What a repository is after an event: the current file of each role. */
type State = ReadonlyMap<string, LoggedFile>;

/** Holds log, read model and history against each other. Asks no program of ours. */
export function checkDatabase(database: Database, history: History, since: Date): number {
  const { events, files } = database;
  const violate = (rule: string, detail: string, event?: LoggedEvent, about?: LoggedFile) =>
    history.violation({
      rule,
      detail,
      ...(event && { gun: event.gun }),
      ...(about && { about }),
    });
  checkPositions(database, violate);

  const states = new Map<string, Map<string, LoggedFile>>();
  const roots = new Map<string, Buffer>();
  const heads = new Map<string, number>();
  /** What the last deletion took. */
  const gone = new Map<string, { state: Map<string, LoggedFile>; root: Buffer | undefined }>();
  let checked = 0;
  for (const event of events) {
    const { gun } = event;
    const head = heads.get(gun) ?? 0;
    if (event.version !== head + 1)
      violate('no gap in a stream', `${event.version} after ${head}`, event);
    heads.set(gun, event.version);
    if (event.type === 'RepositoryDeleted') {
      gone.set(gun, { state: states.get(gun) ?? new Map(), root: roots.get(gun) });
      states.delete(gun);
      roots.delete(gun);
      continue;
    }
    if (event.type === 'RepositoryRestored') {
      const { state = new Map<string, LoggedFile>(), root } = gone.get(gun) ?? {};
      if (states.has(gun) || !isSame(state, event.files)) {
        const detail = `position ${event.position} brings back something else`;
        violate('what is restored is what was deleted', detail, event);
      }
      states.set(gun, state);
      if (root !== undefined) roots.set(gun, root);
      continue;
    }
    const state = states.get(gun) ?? new Map<string, LoggedFile>();
    states.set(gun, state);
    for (const file of event.files) {
      const before = state.get(file.role)?.version ?? 0;
      if (file.version !== before + 1) {
        const detail = `${file.role} ${file.version} follows ${before} at position ${event.position}`;
        violate('no version twice, no gap, no role goes back', detail, event, file);
      }
      state.set(file.role, file);
    }
    if (event.files.length === 0) continue;
    try {
      checkState(state, files, roots.get(gun), since);
      checked += 1;
    } catch (error) {
      const detail = `position ${event.position}: ${error instanceof Error ? error.message : String(error)}`;
      violate('every state in the log verifies', detail, event, event.files[0]);
    }
    const root = files.get(state.get('root')?.sha256 ?? '');
    if (root !== undefined) roots.set(gun, root);
  }
  checkReadModel(database, history);
  checkAttempts(events, history);
  checkRestorations(events, history);
  return checked;
}

function isSame(state: State, files: readonly LoggedFile[]): boolean {
  return (
    files.length === state.size &&
    files.every(({ role, sha256 }) => state.get(role)?.sha256 === sha256)
  );
}

type Violate = (rule: string, detail: string) => void;

function checkPositions({ events, head, checkpoint }: Database, violate: Violate): void {
  for (const [index, { position }] of events.entries()) {
    if (position !== index + 1) violate('no gap in the log', `${position} in place ${index + 1}`);
  }
  if (head !== events.length) violate('no gap in the log', `head ${head} of ${events.length}`);
  if (checkpoint !== head) violate('the projection arrives', `${checkpoint} of ${head}`);
}

/** Throws where the state after an event is none that a client would accept. */
function checkState(
  state: State,
  files: ReadonlyMap<string, Buffer>,
  rootBefore: Buffer | undefined,
  now: Date,
): void {
  const bytes = new Map<string, Buffer>();
  for (const { role, version, sha256: checksum } of state.values()) {
    const found = files.get(checksum);
    if (found === undefined) throw new Error(`there are no bytes of ${role} ${version}`);
    if (sha256(found) !== checksum) throw new Error(`other bytes of ${role} ${version}`);
    bytes.set(role, found);
  }
  const snapshot = bytes.get('snapshot') ?? Buffer.of();
  for (const [role, checksum] of listed(snapshot)) {
    if (state.get(role)?.sha256 === checksum) continue;
    throw new Error(`the snapshot names another ${role} than the last that was accepted`);
  }
  verifyState(bytes, now);
  const root = bytes.get('root');
  if (root !== undefined && rootBefore !== undefined && !root.equals(rootBefore)) {
    verifyRoot(root, rootBefore);
  }
}

function checkReadModel({ events, ...database }: Database, history: History): void {
  const metafiles = new Map<string, string[]>();
  const current = new Map<string, Map<string, number>>();
  const changefeed: string[] = [];
  const gone = new Map<string, { rows: string[]; versions: Map<string, number> }>();
  for (const { gun, type, files, position } of events) {
    if (type === 'RepositoryDeleted') {
      gone.set(gun, { rows: metafiles.get(gun) ?? [], versions: current.get(gun) ?? new Map() });
      metafiles.delete(gun);
      current.delete(gun);
      changefeed.push(`${changefeed.length + 1} ${gun} 0 - deletion ${position}`);
    }
    const restored = type === 'RepositoryRestored' ? gone.get(gun) : undefined;
    if (restored !== undefined) {
      metafiles.set(gun, restored.rows);
      current.set(gun, restored.versions);
    }
    for (const { role, version, sha256 } of files) {
      if (role === 'timestamp') {
        changefeed.push(`${changefeed.length + 1} ${gun} ${version} ${sha256} update ${position}`);
      }
      if (type === 'RepositoryRestored') continue;
      const rows = metafiles.get(gun) ?? [];
      rows.push(`${gun} ${role} ${version} ${sha256} ${position}`);
      metafiles.set(gun, rows);
      current.set(gun, (current.get(gun) ?? new Map<string, number>()).set(role, version));
    }
  }
  const expiries = [...current].flatMap(([gun, versions]) =>
    [...versions].map(([role, version]) => `${gun} ${role} ${version}`),
  );
  compare('metafiles', [...metafiles.values()].flat(), database.metafiles, history);
  compare('changefeed', changefeed, database.changefeed, history);
  compare('expiries', expiries, database.expiries, history);
}

function compare(
  table: string,
  wanted: readonly string[],
  found: readonly string[],
  history: History,
): void {
  const wantedLines = new Set(wanted);
  const foundLines = new Set(found);
  const missing = [...wantedLines].filter((line) => !foundLines.has(line));
  const extra = [...foundLines].filter((line) => !wantedLines.has(line));
  if (found.length === wanted.length && missing.length === 0 && extra.length === 0) return;
  const detail = `${table}: ${found.length} rows of ${wanted.length}; missing ${missing[0]} and ${missing.length - 1} more; not in the log ${extra[0]} and ${extra.length - 1} more`;
  history.violation({ rule: 'log and read model agree', detail });
}

/**
 * A signer makes a key where none is pending, and a key stops to be pending when it signs, for which a
 * root has to list it. So whatever was killed or asked again: a key that is not pending, and that nobody
 * ever listed, was made for a question that had its answer.
 */
export function checkKeys(
  { events, keys }: Database,
  listedKeys: ReadonlySet<string>,
  history: History,
): void {
  const held = new Map(keys.map((key) => [key.keyid, key]));
  const logged = new Set<string>();
  for (const { gun, key, position } of events) {
    if (key === undefined) continue;
    const { role, keyid } = key;
    const found = held.get(keyid);
    if (found?.gun !== gun || found.role !== role) {
      const detail = `the signers have no ${role} key ${keyid}, as position ${position} says`;
      history.violation({ rule: 'every key in the log can sign', gun, detail });
    }
    if (logged.has(keyid)) {
      const detail = `the ${role} key ${keyid} is recorded again at position ${position}`;
      history.violation({ rule: 'no key twice in the log', gun, detail });
    }
    logged.add(keyid);
  }
  for (const { keyid, gun, role, isPending } of keys) {
    if (isPending || listedKeys.has(keyid)) continue;
    const detail = `the ${role} key ${keyid} is in no root, and will be in none`;
    history.violation({ rule: 'no key is made twice for one question', gun, detail });
  }
}

function nameOf(gun: string, { role, sha256 }: Pick<LoggedFile, 'role' | 'sha256'>): string {
  return `${gun} ${role} ${sha256}`;
}

/** What was accepted is in the log, and what was refused is not. */
function checkAttempts(events: readonly LoggedEvent[], history: History): void {
  const logged = new Map<string, LoggedEvent>();
  for (const event of events) {
    if (event.type === 'RepositoryRestored') continue; // those are where they were published
    for (const file of event.files) logged.set(nameOf(event.gun, file), event);
  }
  const promised = new Set<string>();
  const withFiles = history.attempts.filter(({ files }) => files.length > 0);
  for (const attempt of withFiles) {
    if (attempt.outcome === 'refused') continue;
    for (const file of attempt.files) promised.add(nameOf(attempt.gun, file));
  }
  for (const attempt of withFiles) {
    const places = attempt.files.map((file) => logged.get(nameOf(attempt.gun, file)));
    const isThere = places.every((event) => event !== undefined);
    const isTogether = new Set(places).size === 1;
    const isAnywhere = attempt.files.some(
      (file) => logged.has(nameOf(attempt.gun, file)) && !promised.has(nameOf(attempt.gun, file)),
    );
    if (attempt.outcome === 'accepted' && !(isThere && isTogether)) {
      complain(history, attempt, 'every accepted publish is in the log');
    }
    if (attempt.outcome === 'refused' && isAnywhere) {
      complain(history, attempt, 'no refused publish is in the log');
    }
    if (attempt.isAgain && attempt.outcome === 'refused' && isThere && isLast(attempt, events)) {
      complain(history, attempt, 'the same bytes again are accepted while they are current');
    }
    if (attempt.outcome === 'unknown' && !isThere && places.some((event) => event !== undefined)) {
      complain(history, attempt, 'no publish is there by half');
    }
  }
}

/** Each that was told of is there, and none that nobody asked for. */
function checkRestorations(events: readonly LoggedEvent[], history: History): void {
  const guns = new Set(events.map(({ gun }) => gun));
  for (const gun of guns) {
    const { length } = events.filter(
      (each) => each.gun === gun && each.type === 'RepositoryRestored',
    );
    const asked = history.attempts.filter((each) => each.gun === gun && each.what === 'undelete');
    const told = asked.filter(({ outcome }) => outcome === 'accepted').length;
    if (length >= told && length <= asked.length) continue;
    const detail = `${length} in the log, ${told} told of, ${asked.length} asked for`;
    history.violation({ rule: 'every deletion that was taken back is in the log', gun, detail });
  }
}

/** Whether nothing came after it in any of its roles. */
function isLast({ gun, files }: Attempt, events: readonly LoggedEvent[]): boolean {
  const own = new Map(files.map(({ role, version }) => [role, version]));
  return !events.some(
    (event) =>
      event.gun === gun &&
      (event.type === 'RepositoryDeleted' ||
        event.files.some(({ role, version }) => version > (own.get(role) ?? Infinity))),
  );
}

function complain(history: History, attempt: Attempt, rule: string): void {
  const [about] = attempt.files;
  const named = attempt.files.map(({ role, version }) => `${role} ${version}`).join(', ');
  const detail = `${named} by publisher ${attempt.publisher}: ${attempt.answer}`;
  history.violation({ rule, gun: attempt.gun, detail, ...(about && { about }) });
}

/** Requests at once. */
const WIDTH = 8;

/** Downloads every version that the log says is there, and the current files from every API. */
export async function checkDownloads(
  urls: readonly string[],
  { events }: Database,
  history: History,
): Promise<number> {
  const alive = new Map<string, LoggedFile[]>();
  const gone = new Map<string, LoggedFile[]>();
  for (const { gun, type, files } of events) {
    const there = alive.get(gun) ?? [];
    if (type === 'RepositoryDeleted') {
      gone.set(gun, there);
      alive.set(gun, []);
    } else if (type === 'RepositoryRestored') {
      alive.set(gun, gone.get(gun) ?? []);
    } else {
      alive.set(gun, [...there, ...files]);
    }
  }
  const wanted: { gun: string; url: string; name: string; file: LoggedFile }[] = [];
  for (const [gun, files] of alive) {
    const current = new Map(files.map((file) => [file.role, file]));
    for (const [index, file] of files.entries()) {
      const url = urls[index % urls.length] ?? '';
      wanted.push({ gun, url, name: `${file.version}.${file.role}.json`, file });
      wanted.push({ gun, url, name: `${file.role}.${file.sha256}.json`, file });
    }
    for (const url of urls) {
      for (const [role, file] of current) wanted.push({ gun, url, name: `${role}.json`, file });
    }
  }
  let next = 0;
  const work = async () => {
    for (let item = wanted[next++]; item !== undefined; item = wanted[next++]) {
      const { gun, url, name, file } = item;
      const { status, body } = await getFile(url, gun as Gun, name);
      if (status === 200 && sha256(body) === file.sha256) continue;
      const detail = `GET ${name}: ${status}, ${sha256(body)} in place of ${file.sha256}`;
      history.violation({ rule: 'everything in the log can be read', gun, detail, about: file });
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, work));
  return wanted.length;
}

/** The changefeed of every API, page by page, is that of the log. */
export async function checkChangefeed(
  urls: readonly string[],
  { changefeed }: Database,
  history: History,
): Promise<void> {
  const wanted = changefeed.map((line) => line.split(' ').slice(0, 3).join(' '));
  for (const url of urls) {
    const found: string[] = [];
    for (;;) {
      const page = `records=1000&change_id=${found.length}`;
      const { body } = await exchange('GET', `${url}/v2/_trust/changefeed?${page}`);
      const { records } = JSON.parse(body.toString()) as {
        records: readonly { ID: string; GUN: string; Version: number }[];
      };
      if (records.length === 0) break;
      found.push(...records.map(({ ID, GUN, Version }) => `${ID} ${GUN} ${Version}`));
    }
    compare(`changefeed of ${url}`, wanted, found, history);
  }
}
