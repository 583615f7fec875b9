import { setTimeout as sleep } from 'node:timers/promises';
import type { PublicKey, ServerRole } from '@scrivener/tuf';
import { createPublisher, type OwnKey, type Part } from '@scrivener/tuf/testing';
import type { TortureClient, Told } from './client.ts';
import {
  DELEGATION,
  firstParts,
  nextRoot,
  nextTargets,
  readRoot,
  readTargets,
  refsOf,
  signersOf,
  type Torment,
} from './collections.ts';
import type { Attempt, History } from './history.ts';
import type { Random } from './random.ts';
import type { Undelete } from './undelete.ts';

/** Between two attempts after one that failed, in milliseconds. */
const PAUSE = 50;

/** How long a change of root may be under way behind an answer that never came, in milliseconds. */
const AFTERMATH = 15_000;

interface Load {
  readonly client: TortureClient;
  readonly history: History;
  readonly random: Random;
  /** Without it what was deleted stays so. */
  readonly undelete?: Undelete;
}

interface Plan {
  readonly what: Attempt['what'];
  readonly parts: readonly Part[];
}

/** Publishes to one repository after the other, anything that may be published, until aborted. */
export async function publishUntil(
  signal: AbortSignal,
  publisher: number,
  torments: readonly Torment[],
  load: Load,
): Promise<void> {
  const { random } = load;
  for (let round = 0; !signal.aborted; round += 1) {
    const torment = random.pick(torments);
    const api = Math.floor(random.between(0, load.client.urls.length));
    const told = await publishOnce(
      { publisher, torment, api, name: `${publisher}-${round}` },
      load,
    );
    if (told?.outcome !== 'accepted') await sleep(PAUSE);
  }
}

interface Task {
  readonly publisher: number;
  readonly torment: Torment;
  readonly api: number;
  /** Of the target; never twice in a repository. */
  readonly name: string;
  /** It was published before, and the answer was lost. */
  readonly isAgain?: boolean;
}

/** Reads, builds on that, and publishes; where the answer is lost, now and then the same again. */
export async function publishOnce(task: Task, load: Load): Promise<Told | undefined> {
  const { torment, api } = task;
  const { random } = load;
  if (torment.isVolatile && random.between(0, 1) < 0.15) return remove(task, load);
  const plan = await planOf(task, load);
  if (plan === undefined) return undefined;
  const told = await publish(task, plan, load);
  if (told.outcome !== 'unknown' || random.between(0, 1) < 0.5) return told;
  await sleep(PAUSE);
  return publish({ ...task, api: api + 1, isAgain: true }, plan, load);
}

/**
 * Publishes targets whose answers are lost, and the same bytes again through another API. Where nobody
 * else publishes meanwhile the second answer has to be 200, whatever became of the first.
 *
 * `lose` makes the answers get lost that come until its promise is fulfilled.
 */
export async function publishTwice(
  tasks: readonly Task[],
  load: Load,
  lose: () => Promise<void>,
): Promise<void> {
  const plans = await Promise.all(tasks.map((task) => targetsPlan(task, load)));
  const losing = lose();
  const publishAll = (isAgain: boolean) =>
    Promise.all(
      tasks.map(async (task, index) => {
        const api = task.api + (isAgain ? 1 : 0);
        const plan = plans[index];
        return plan && publish({ ...task, api, isAgain }, plan, load);
      }),
    );
  const first = await publishAll(false);
  await losing;
  const again = await publishAll(true);
  for (const [index, { torment }] of tasks.entries()) {
    if (again[index]?.text === '200') continue;
    load.history.violation({
      rule: 'the same bytes again are accepted while they are current',
      gun: torment.gun,
      detail: `${again[index]?.text ?? 'nothing to build on'} after ${first[index]?.text}`,
    });
  }
}

async function planOf(task: Task, load: Load): Promise<Plan | undefined> {
  const { torment, api, name } = task;
  const { client, random } = load;
  const dice = random.between(0, 1);
  const read = async (file: string) => {
    const also = (text: string) => torment.isVolatile && text === '404 METADATA_NOT_FOUND';
    return client.get(api, torment.gun, `${file}.json`, { also });
  };
  if (!torment.isVolatile && dice < 0.35) {
    const current = await read(DELEGATION);
    if (current.answer?.status !== 200) return undefined;
    const targets = await read('targets');
    if (targets.answer?.status !== 200) return undefined;
    const signers = delegationKeys(torment, targets.answer.body);
    const part = nextTargets(DELEGATION, readTargets(current.answer.body), name, signers);
    return { what: 'delegation', parts: [part] };
  }
  const rootFile = await read('root');
  if (rootFile.answer?.status === 404) return firstPublish(task, load);
  if (rootFile.answer?.status !== 200) return undefined;
  const root = readRoot(rootFile.answer.body);
  if (!torment.isVolatile && dice > 0.97) {
    return { what: 'root', parts: [nextRoot(torment, root)] };
  }
  const targetsFile = await read('targets');
  if (targetsFile.answer?.status !== 200) return undefined;
  const targets = readTargets(targetsFile.answer.body);
  if (!torment.isVolatile && dice > 0.94) {
    const key = newKey(torment, name);
    const parts = [nextRoot(torment, root, key), nextTargets('targets', targets, name, [key])];
    return { what: 'rotation', parts };
  }
  const signers = signersOf(torment, root, 'targets');
  return { what: 'targets', parts: [nextTargets('targets', targets, name, signers)] };
}

async function targetsPlan({ torment, api, name }: Task, { client }: Load) {
  const [root, targets] = [
    await client.get(api, torment.gun, 'root.json'),
    await client.get(api, torment.gun, 'targets.json'),
  ];
  if (root.answer?.status !== 200 || targets.answer?.status !== 200) return undefined;
  const signers = signersOf(torment, readRoot(root.answer.body), 'targets');
  const part = nextTargets('targets', readTargets(targets.answer.body), name, signers);
  return { what: 'targets', parts: [part] } as const;
}

function delegationKeys(torment: Torment, targets: Uint8Array): OwnKey[] {
  const { delegations } = readTargets(targets) as unknown as {
    delegations: { roles: readonly { keyids: readonly string[] }[] };
  };
  return (delegations.roles[0]?.keyids ?? []).flatMap((keyid) => torment.keys.get(keyid) ?? []);
}

function newKey(torment: Torment, name: string): OwnKey {
  const serverKeys = { timestamp: { keytype: 'ecdsa', public: '' } };
  const key = createPublisher(torment.gun, { serverKeys, seed: `${torment.gun} ${name}` }).newKey();
  torment.keys.set(key.keyid, key);
  return key;
}

/** Publishes the first version of a repository that is not there. */
export async function begin(task: Omit<Task, 'name'>, load: Load): Promise<Told | undefined> {
  const plan = await firstPublish(task, load);
  return plan && publish({ ...task, name: '' }, plan, load);
}

async function firstPublish(
  { torment, api }: Omit<Task, 'name'>,
  { client }: Load,
): Promise<Plan | undefined> {
  const key = async (role: ServerRole): Promise<PublicKey | undefined> => {
    const { answer } = await client.get(api, torment.gun, `${role}.key`);
    if (answer?.status !== 200) return undefined;
    const { keytype, keyval } = JSON.parse(answer.body.toString()) as {
      keytype: string;
      keyval: { public: string };
    };
    return { keytype, public: keyval.public };
  };
  const [timestamp, snapshot] = [await key('timestamp'), await key('snapshot')];
  if (timestamp === undefined || snapshot === undefined) return undefined;
  return { what: 'first publish', parts: firstParts(torment, { timestamp, snapshot }) };
}

async function publish(task: Task, { what, parts }: Plan, load: Load): Promise<Told> {
  const { torment, api } = task;
  const { client, history } = load;
  const { gun } = torment;
  const startedAt = Date.now();
  const upheaval: { startedAt: number; endedAt?: number } = { startedAt };
  const changesRoot = parts.some(({ role }) => role === 'root');
  if (changesRoot) torment.upheavals.push(upheaval);
  // What a file was built on may have changed between two reads, where root changes meanwhile.
  const also = (text: string) =>
    text === '400 INVALID_UPDATE' &&
    (torment.isVolatile || isUnsettled(torment, startedAt - AFTERMATH, upheaval));

  const told = await client.publish(api, gun, parts, { also });
  upheaval.endedAt = told.endedAt + (told.outcome === 'unknown' ? AFTERMATH : 0);
  const files = refsOf(parts);
  history.add({ gun, what, ...whoAndWhere(task, load), files, ...outcomeOf(told) });
  if (told.outcome === 'accepted' && !torment.isVolatile) sawAll(torment, files);
  return told;
}

async function remove(task: Task, load: Load): Promise<Told> {
  const { gun } = task.torment;
  const told = await load.client.remove(task.api, gun);
  load.history.add({
    gun,
    what: 'delete',
    ...whoAndWhere(task, load),
    files: [],
    ...outcomeOf(told),
  });
  if (told.outcome === 'accepted' && load.random.between(0, 1) < 0.5) await restore(task, load);
  return told;
}

/** How long the command may live that is killed, in milliseconds: it takes about as long. */
const LIFE = 2_500;

/** As an operator does; now and then that is cut short. */
async function restore(task: Task, { client, history, random, undelete }: Load): Promise<void> {
  if (undelete === undefined) return;
  const { gun } = task.torment;
  const life = random.between(0, LIFE);
  const startedAt = Date.now();
  const answer = await undelete(gun, random.between(0, 1) < 0.4 ? life : undefined);
  const endedAt = Date.now();
  history.count(`undelete ${answer}`);
  const outcome = answer === 'exit code 0' ? 'accepted' : 'unknown';
  const which = whoAndWhere(task, { client, history, random });
  history.add({
    gun,
    what: 'undelete',
    ...which,
    files: [],
    startedAt,
    endedAt,
    outcome,
    answer,
  });
}

function whoAndWhere({ publisher, api, isAgain = false }: Task, { client }: Load) {
  return { publisher, api: api % client.urls.length, isAgain };
}

function outcomeOf({ startedAt, endedAt, outcome, text }: Told) {
  return { startedAt, endedAt, outcome, answer: text };
}

function isUnsettled({ upheavals }: Torment, since: number, own: object): boolean {
  return upheavals.some(
    (other) => other !== own && (other.endedAt === undefined || other.endedAt >= since),
  );
}

/** From now on nobody may be shown less. */
export function sawAll(
  { seen }: Torment,
  files: Iterable<{ readonly role: string; readonly version: number }>,
): void {
  for (const { role, version } of files) seen.set(role, Math.max(version, seen.get(role) ?? 0));
}
