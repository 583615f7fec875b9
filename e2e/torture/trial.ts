import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun, type PublicKey, type ServerRole } from '@scrivener/tuf';
import { getFile, getKey, postUpdate } from '../tuf-http.ts';
import {
  createTorment,
  firstParts,
  readRoot,
  readTargets,
  signersOf,
  type Torment,
} from './collections.ts';
import { createHistory, type History } from './history.ts';
import { checkChangefeed, checkDatabase, checkDownloads, checkKeys } from './invariants.ts';
import { readDatabase } from './log.ts';
import { startStack, type Stack } from './stack.ts';

// What every scenario begins and ends with.

/** What a scenario measured, and what it found wrong; nothing there is what should be. */
export interface Findings {
  readonly figures: readonly string[];
  readonly wrong: readonly string[];
}

export type Say = (line: string) => void;

/** No fault of ours stops an API in the scenarios. */
export const NEVER_STOPPED = { within: () => 0 };

export async function withStack(
  size: Parameters<typeof startStack>[0],
  work: (stack: Stack) => Promise<Findings>,
  offset = 0,
): Promise<Findings> {
  const stack = await startStack(size, offset);
  try {
    return await work(stack);
  } finally {
    await stack.stop();
  }
}

export async function beginMany(
  urls: readonly string[],
  count: number,
  now?: Date,
): Promise<Torment[]> {
  const run = randomBytes(3).toString('hex');
  const torments: Torment[] = [];
  for (let index = 0; index < count; index += 1) {
    const url = urls[index % urls.length] ?? '';
    const gun = parseGun(`example.com/${run}/${index}`);
    if (gun === undefined) throw new RangeError('not a GUN');
    const torment = createTorment(gun, false);
    const key = (role: ServerRole): Promise<PublicKey> => getKey(url, gun, role);
    const serverKeys = { timestamp: await key('timestamp'), snapshot: await key('snapshot') };
    const { status, body } = await postUpdate(url, gun, firstParts(torment, serverKeys, now));
    if (status !== 200) throw new Error(`first publish: ${status} ${body.toString()}`);
    torments.push(torment);
  }
  return torments;
}

export async function current(url: string, torment: Torment) {
  const [root, targets] = await Promise.all([
    getFile(url, torment.gun, 'root.json'),
    getFile(url, torment.gun, 'targets.json'),
  ]);
  const unread = [root, targets].find(({ status }) => status !== 200);
  if (unread !== undefined) throw new Error(`a read was answered ${unread.status} ${unread.code}`);
  return {
    targets: readTargets(targets.body),
    signers: signersOf(torment, readRoot(root.body), 'targets'),
  };
}

/** The invariants of the log, the read model and the downloads; what they found. */
export async function everythingHolds(
  { cluster, urls }: Stack,
  torments: readonly Torment[],
): Promise<string[]> {
  const history: History = createHistory();
  await sleep(1_000); // what was answered 503 may have been appended all the same
  const database = await readDatabase(cluster);
  checkDatabase(database, history, new Date(0));
  await checkDownloads(urls, database, history);
  await checkChangefeed(urls, database, history);
  const listedKeys = new Set(torments.flatMap(({ serverKeys }) => [...serverKeys]));
  checkKeys(database, listedKeys, history);
  return history.violations.map(({ rule, gun = '', detail }) => `${rule}: ${gun} ${detail}`);
}
