import { postgresEventStore } from '@scrivener/events/postgres';
import { testDatabase, type TestDatabase } from '@scrivener/events/postgres/testing';
import type { Reader } from '@scrivener/read-model';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { createLogger } from '@scrivener/runtime';
import { createMemorySigner } from '@scrivener/signing/memory';
import type { DelegationName, Gun } from '@scrivener/tuf';
import type { Part, Publisher } from '@scrivener/tuf/testing';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { gunOf } from './testing/client.ts';
import { commandOf, ownerOf } from './testing/processes.ts';
import { createUseCases } from './use-cases.ts';

/*
 * What a publish and a read ask of Postgres, counted at the driver: the same where a collection has few
 * versions or delegations, and the database few collections, as where there are ten times as many.
 */

/** By a timer, however long a publish takes. */
const BESIDES = new Set(['checkpoint', 'enter readers', 'renew reader']);

interface Statement {
  readonly name: string;
  readonly values: unknown;
}

interface Sent {
  readonly statements: readonly string[];
  /** Of their parameters. */
  readonly bytes: number;
}

let database: TestDatabase;
let api: Awaited<ReturnType<typeof openApi>>;
beforeAll(async () => {
  database = await testDatabase();
  api = await openApi();
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

/** One API; nobody else projects. It answers from memory, as in production. */
async function openApi() {
  const readModel = await postgresReadModel(database.url);
  const events = await postgresEventStore(database.url, { rider: readModel.rider });
  let reader: Reader | undefined;
  const useCases = createUseCases({
    events,
    readModel,
    signer: createMemorySigner(),
    algorithm: 'ed25519',
    logger: createLogger('fatal'),
    now: () => new Date(),
    timeoutMs: 10_000,
    join: (memory) => (reader = readModel.readers.join(memory)),
  });
  await vi.waitUntil(() => reader?.mayAnswer() === true, 20_000);
  const close = async () => {
    await readModel.close();
    await events.close();
  };
  return { ...useCases, readModel, close };
}

/** What is sent to Postgres while `work` goes on. */
async function sentBy(work: () => Promise<unknown>): Promise<Sent> {
  const query = vi.spyOn(Client.prototype, 'query');
  try {
    await work();
    const calls = query.mock.calls as readonly unknown[][];
    const sent = calls.map(statementOf).filter(({ name }) => !BESIDES.has(name));
    return {
      statements: sent.map(({ name }) => name).toSorted(),
      bytes: sizeOf(sent.map(({ values }) => values)),
    };
  } finally {
    query.mockRestore();
  }
}

/** Of the ways to call the driver those that ours are. */
function statementOf([statement, values]: readonly unknown[]): Statement {
  if (typeof statement === 'string') return { name: statement, values };
  return { name: 'unnamed', values, ...(statement as Partial<Statement>) };
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + sizeOf(each), 0);
  return value instanceof Uint8Array ? value.byteLength : String(value).length;
}

async function collection(name: string): Promise<{ gun: Gun; owner: Publisher }> {
  const gun = gunOf(name);
  const owner = await ownerOf(api, gun);
  while ((await api.readModel.project()) !== 'idle');
  await publish(gun, [owner.root(), owner.targets({ first: 'content' })]);
  return { gun, owner };
}

const publish = (gun: Gun, parts: readonly Part[]) => api.publish(commandOf(gun, parts));

/** A publish and three reads that no memory answers. */
async function lookAt(gun: Gun, parts: () => readonly Part[]) {
  const published: Sent[] = [];
  const read: Sent[] = [];
  for (let n = 0; n < 4; n += 1) {
    const upload = parts();
    published.push(await sentBy(() => publish(gun, upload)));
    read.push(await sentBy(() => readTargets(gun)));
  }
  return { published: fewest(published), read: fewest(read) };
}

async function readTargets(gun: Gun): Promise<void> {
  const targets = await api.readModel.current(gun, 'targets');
  if (targets === undefined) throw new Error('nothing is published');
  await api.readModel.byVersion(gun, 'targets', targets.version);
  await api.readModel.byChecksum(gun, 'targets', targets.sha256);
}

/** A look at other readers that a timer asked for may have come in between. */
function fewest([first, ...others]: readonly Sent[]): Sent {
  if (first === undefined) throw new RangeError('nothing was sent');
  return others.reduce(
    (least, each) => (each.statements.length < least.statements.length ? each : least),
    first,
  );
}

test('a lone publish takes two statements, each read one', async () => {
  const { gun, owner } = await collection('registry/statements');
  const { published, read } = await lookAt(gun, () => [owner.targets({ next: 'content' })]);

  expect(published.statements).toEqual(['append with 3 files and write a', 'look at readers']);
  expect(read.statements).toEqual(['current file', 'file by checksum', 'file by version']);
});

test('neither statements nor bytes grow with versions', async () => {
  const { gun, owner } = await collection('registry/versions');
  const until = async (version: number) => {
    for (
      let n = Number((await api.readModel.current(gun, 'targets'))?.version);
      n < version;
      n += 1
    )
      await publish(gun, [owner.targets({ next: 'content' })]);
    return lookAt(gun, () => [owner.targets({ next: 'content' })]);
  };

  expect(grown(await until(5), await until(50))).toEqual([]);
});

test('neither statements nor bytes grow with collections', async () => {
  const { gun, owner } = await collection('registry/collections');
  const few = await lookAt(gun, () => [owner.targets({ next: 'content' })]);
  for (let n = 0; n < 40; n += 1) await collection(`registry/collection-${n}`);

  const many = await lookAt(gun, () => [owner.targets({ next: 'content' })]);

  expect(grown(few, many)).toEqual([]);
});

test('statements do not grow with delegations, bytes only by what the snapshot lists of them', async () => {
  const { gun, owner } = await collection('registry/delegations');
  let made = 0;
  const withDelegations = async (count: number) => {
    const names: DelegationName[] = [];
    for (; made < count; made += 1) names.push(`targets/role-${made}`);
    for (const name of names) owner.delegate(name);
    await publish(gun, [owner.targets(), ...names.map((name) => owner.delegation(name))]);
    return lookAt(gun, () => [owner.delegation('targets/role-0')]);
  };
  const few = await withDelegations(3);
  const many = await withDelegations(30);

  expect(many.published.statements).toEqual(few.published.statements);
  expect(many.read).toEqual(few.read);
  const listed = 27 * 300; // a name, two digests in base64 and a length, each
  expect(many.published.bytes - few.published.bytes).toBeLessThan(listed);
});

type Looked = Awaited<ReturnType<typeof lookAt>>;

/** What is more with many than with few; numbers may get longer. */
function grown(few: Looked, many: Looked): string[] {
  return (['published', 'read'] as const).flatMap((what) => {
    const [before, after] = [few[what], many[what]];
    const statements = after.statements.join() === before.statements.join() ? [] : after.statements;
    const bytes = after.bytes > before.bytes + 100 ? [`${after.bytes - before.bytes} bytes`] : [];
    return [...statements, ...bytes];
  });
}
