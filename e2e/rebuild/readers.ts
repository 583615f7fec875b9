import { createHash } from 'node:crypto';
import type { Gun, RoleName } from '@scrivener/tuf';
import { seen, type Seen } from '../answers.ts';
import { addTarget, type Collection } from '../collection.ts';
import type { Random } from '../torture/random.ts';
import { exchange } from '../tuf-http.ts';

const ROLES: readonly RoleName[] = ['timestamp', 'snapshot', 'targets', 'root'];

/** What was done and what was wrong, added to by everybody. */
export interface Tally {
  reads: number;
  publishes: number;
  slowestMs: number;
  /** Each with what was asked for; only the first of them are kept. */
  readonly wrong: string[];
  wrongs: number;
}

export function newTally(): Tally {
  return { reads: 0, publishes: 0, slowestMs: 0, wrong: [], wrongs: 0 };
}

const KEPT = 50;

function tell(tally: Tally, what: string): void {
  tally.wrongs += 1;
  if (tally.wrong.length < KEPT) tally.wrong.push(what);
}

async function get(url: string, tally: Tally): Promise<Seen | undefined> {
  const startedAt = performance.now();
  try {
    return seen(await exchange('GET', url));
  } catch (error) {
    tell(tally, `GET ${url}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  } finally {
    tally.reads += 1;
    tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startedAt);
  }
}

const pick = (urls: readonly string[], random: Random) => random.pick(urls);

/** The parts of two answers that are not the same; empty where all is. */
function differing(is: Seen, should: Seen): string {
  const parts = (['status', 'headers', 'body'] as const).filter(
    (part) => JSON.stringify(is[part]) !== JSON.stringify(should[part]),
  );
  const told = parts.map((part) => {
    const [got, wanted] = [JSON.stringify(is[part]), JSON.stringify(should[part])];
    return `${part} is ${got.slice(0, 400)}, and was ${wanted.slice(0, 400)}`;
  });
  return told.join('; ');
}

/** Asks for what nobody changes, in random order, from any API: each answer has to be what it was. */
export async function readFrozen(
  signal: AbortSignal,
  urls: readonly string[],
  answers: ReadonlyMap<string, Seen>,
  { random, tally }: { readonly random: Random; readonly tally: Tally },
): Promise<void> {
  const paths = [...answers.keys()];
  while (!signal.aborted) {
    const path = random.pick(paths);
    const answer = await get(pick(urls, random) + path, tally);
    const should = answers.get(path);
    if (answer === undefined || should === undefined) continue;
    const difference = differing(answer, should);
    if (difference !== '') tell(tally, `GET ${path}: ${difference}`);
  }
}

/** A collection that is published to, with all that was seen of it. */
export interface Busy {
  readonly collection: Collection;
  /** By role: what somebody has been told is there. */
  readonly floor: Map<RoleName, number>;
  /** By role and version: the first answer. */
  readonly answers: Map<string, Seen>;
}

export function busy(collection: Collection): Busy {
  return { collection, floor: new Map(), answers: new Map() };
}

/**
 * Reads what is current of collections that are published to, by name and then by checksum: never an
 * older version than one that was seen or acknowledged before, and of each version always the same
 * bytes and headers.
 */
export async function readBusy(
  signal: AbortSignal,
  urls: readonly string[],
  all: readonly Busy[],
  { random, tally }: { readonly random: Random; readonly tally: Tally },
): Promise<void> {
  while (!signal.aborted) {
    const one = random.pick(all);
    const role = random.pick(ROLES);
    const { gun } = one.collection;
    const floor = one.floor.get(role) ?? 0;
    const answer = await get(`${pick(urls, random)}${pathOf(gun, role)}`, tally);
    if (answer === undefined) continue;
    const version = versionOf(answer);
    if (answer.status !== 200 || version < floor) {
      const got = `${answer.status}, version ${version}`;
      tell(tally, `GET ${pathOf(gun, role)}: ${got}, after version ${floor} had been seen`);
      continue;
    }
    one.floor.set(role, Math.max(one.floor.get(role) ?? 0, version));
    remember(one, `${role} ${version}`, answer, tally);

    const checksum = createHash('sha256').update(answer.body, 'latin1').digest('hex');
    const path = pathOf(gun, `${role}.${checksum}`);
    const same = await get(pick(urls, random) + path, tally);
    if (same === undefined) continue;
    if (same.status !== 200 || same.body !== answer.body) {
      tell(tally, `GET ${path}: ${differing(same, answer)}`);
    }
    remember(one, `${role}.${checksum}`, same, tally);
  }
}

/** Every version that was seen has to be there still, by its number, when all is over. */
export async function readAgain(
  urls: readonly string[],
  all: readonly Busy[],
  tally: Tally,
): Promise<number> {
  let count = 0;
  for (const { collection, answers } of all) {
    for (const [key, { body }] of answers) {
      const [, role, version] = /^(\S+) (\d+)$/.exec(key) ?? [];
      if (role === undefined) continue;
      const path = pathOf(collection.gun, `${version}.${role}`);
      for (const url of urls) {
        const answer = await get(url + path, tally);
        count += 1;
        if (answer?.body !== body) tell(tally, `GET ${path}: not what was read of that version`);
      }
    }
  }
  return count;
}

function remember({ answers }: Busy, key: string, answer: Seen, tally: Tally): void {
  const first = answers.get(key);
  if (first === undefined) answers.set(key, answer);
  else if (differing(answer, first) !== '') tell(tally, `${key}: ${differing(answer, first)}`);
}

const pathOf = (gun: Gun, file: string) => `/v2/${gun}/_trust/tuf/${file}.json`;

function versionOf({ body }: Seen): number {
  try {
    return (JSON.parse(body) as { signed: { version: number } }).signed.version;
  } catch {
    return 0;
  }
}

/** Routes whose answers go on with the log, or with the clock: they have to be there. */
export async function readOthers(
  signal: AbortSignal,
  urls: readonly string[],
  all: readonly Busy[],
  { random, tally }: { readonly random: Random; readonly tally: Tally },
): Promise<void> {
  const paths = [
    '/_notary_server/v1/expiring',
    '/_notary_server/v1/openapi.json',
    '/_notary_server/v1/events?after=10&limit=50',
    ...all.map(({ collection }) => `/_notary_server/v1/guns/${collection.gun}/history.svg`),
  ];
  while (!signal.aborted) {
    const path = random.pick(paths);
    const answer = await get(pick(urls, random) + path, tally);
    if (answer !== undefined && answer.status !== 200) {
      tell(tally, `GET ${path}: ${answer.status} ${answer.body.slice(0, 200)}`);
    }
    await readChanges(pick(urls, random), tally);
  }
}

/** The newest of them, without a gap. */
async function readChanges(url: string, tally: Tally): Promise<void> {
  const path = '/v2/_trust/changefeed?records=-30';
  const answer = await get(url + path, tally);
  if (answer === undefined) return;
  if (answer.status !== 200) {
    tell(tally, `GET ${path}: ${answer.status}`);
    return;
  }
  const { records } = JSON.parse(answer.body) as { records: readonly { ID: string }[] };
  const ids = records.map(({ ID }) => Number(ID));
  const isWhole = ids.every((id, index) => index === 0 || id === (ids[index - 1] ?? 0) + 1);
  if (!isWhole) tell(tally, `GET ${path}: ids are ${ids.join(' ')}`);
}

/** Publishes one target after the other: each has to be accepted, and counts from then on. */
export async function publishUntil(
  signal: AbortSignal,
  urls: readonly string[],
  { collection, floor }: Busy,
  { random, tally }: { readonly random: Random; readonly tally: Tally },
): Promise<void> {
  for (let round = 0; !signal.aborted; round += 1) {
    try {
      const { status, code, version } = await addTarget(
        pick(urls, random),
        collection,
        'targets',
        `tag-${round % 50}`,
      );
      tally.publishes += 1;
      if (status === 200) floor.set('targets', Math.max(floor.get('targets') ?? 0, version));
      else tell(tally, `publish to ${collection.gun}: ${status} ${code}`);
    } catch (error) {
      tell(tally, `publish to ${collection.gun}: ${String(error)}`);
    }
  }
}
