import { createPublisher } from '@scrivener/tuf/testing';
import { parseGun, type Gun } from '@scrivener/tuf';
import { describe, expect, test } from 'vitest';
import { Repository } from '../../libs/tuf/src/testing/repository.ts';
import { createHistory, type Attempt } from './history.ts';
import { checkDatabase, checkKeys } from './invariants.ts';
import type { Database, HeldKey, LoggedEvent, LoggedFile } from './log.ts';
import { verifyRoot } from './verifier.ts';

// A check that finds nothing is worth something only if it finds what is there.

const gun = parseGun('example.com/sound') as Gun;

/** Two publishes and what the read model makes of them. */
function soundDatabase(): Database {
  const repository = new Repository(gun, new Date());
  const owner = createPublisher(gun, {
    serverKeys: {
      timestamp: repository.timestampKey.publicKey,
      snapshot: repository.snapshotKey.publicKey,
    },
  });
  const files = new Map<string, Buffer>();
  const events: LoggedEvent[] = [];
  for (const parts of [[owner.root(), owner.targets()], [owner.targets({ a: 'a' })]]) {
    const before = new Map(repository.current);
    repository.publish(...parts);
    const added: LoggedFile[] = [];
    for (const [role, file] of repository.current) {
      files.set(file.sha256, Buffer.from(file.bytes));
      if (before.get(role)?.sha256 === file.sha256) continue;
      added.push({ role, version: Number(file.version), sha256: file.sha256 });
    }
    const position = events.length + 1;
    events.push({ position, gun, version: position, type: 'UpdatePublished', files: added });
  }
  const rows = events.flatMap(({ position, files }) =>
    files.map((file) => ({ position, ...file })),
  );
  return {
    events,
    files,
    head: 2,
    checkpoint: 2,
    metafiles: rows.map(
      ({ role, version, sha256, position }) => `${gun} ${role} ${version} ${sha256} ${position}`,
    ),
    changefeed: rows
      .filter(({ role }) => role === 'timestamp')
      .map(
        ({ version, sha256, position }) =>
          `${version} ${gun} ${version} ${sha256} update ${position}`,
      ),
    expiries: [...repository.current].map(([role, { version }]) => `${gun} ${role} ${version}`),
    keys: [],
  };
}

function rulesBroken(database: Database, attempts: readonly Attempt[] = []): string[] {
  const history = createHistory();
  for (const attempt of attempts) history.add(attempt);
  checkDatabase(database, history, new Date());
  return [...new Set(history.violations.map(({ rule }) => rule))];
}

const sound = soundDatabase();
const [first, second] = sound.events;
if (first === undefined || second === undefined) throw new RangeError('two events');

const attempt = (
  files: readonly LoggedFile[],
  outcome: Attempt['outcome'],
  isAgain = false,
): Attempt => ({
  gun,
  what: 'targets',
  publisher: 0,
  api: 0,
  files,
  isAgain,
  startedAt: 0,
  endedAt: 1,
  outcome,
  answer: '',
});
const targets = second.files.filter(({ role }) => role === 'targets');
const lost: LoggedFile = { role: 'targets', version: 3, sha256: '0'.repeat(64) };

/** The last event with one of its files exchanged. */
const withFile = (role: string, change: Partial<LoggedFile>): Database => ({
  ...sound,
  events: [
    first,
    {
      ...second,
      files: second.files.map((file) => (file.role === role ? { ...file, ...change } : file)),
    },
  ],
});

const currentFiles = new Map([...first.files, ...second.files].map((file) => [file.role, file]));

/** Deleted, and that taken back: with these files. */
const restored = (files = [...currentFiles.values()]): Database => {
  const [version, timestamp] = [2, currentFiles.get('timestamp')];
  return {
    ...sound,
    events: [
      ...sound.events,
      { position: 3, gun, version: 3, type: 'RepositoryDeleted', files: [] },
      { position: 4, gun, version: 4, type: 'RepositoryRestored', files },
    ],
    head: 4,
    checkpoint: 4,
    changefeed: [
      ...sound.changefeed,
      `3 ${gun} 0 - deletion 3`,
      `4 ${gun} ${version} ${timestamp?.sha256} update 4`,
    ],
  };
};
const undelete: Attempt = { ...attempt([], 'accepted'), what: 'undelete' };

describe('the checks after torture', () => {
  test('find nothing where nothing is wrong', () => {
    expect(rulesBroken(sound, [attempt(targets, 'accepted')])).toEqual([]);
    expect(rulesBroken(restored(), [attempt(targets, 'accepted'), undelete])).toEqual([]);
    expect(rulesBroken(restored(), [{ ...undelete, outcome: 'unknown' }])).toEqual([]);
  });

  test.each<[string, Database, readonly Attempt[], string]>([
    [
      'an accepted publish that is gone',
      sound,
      [attempt([lost], 'accepted')],
      'every accepted publish is in the log',
    ],
    [
      'a refused publish that is there',
      sound,
      [attempt(targets, 'refused')],
      'no refused publish is in the log',
    ],
    [
      'half a publish',
      sound,
      [attempt([...targets, lost], 'unknown')],
      'no publish is there by half',
    ],
    [
      'a refused retry of what is current',
      sound,
      [attempt(targets, 'unknown'), attempt(targets, 'refused', true)],
      'the same bytes again are accepted while they are current',
    ],
    ['a missing event', { ...sound, events: [second] }, [], 'no gap in the log'],
    [
      'a version that is left out',
      withFile('targets', { version: 3 }),
      [],
      'no version twice, no gap, no role goes back',
    ],
    [
      'a role that goes back',
      withFile('targets', { version: 1 }),
      [],
      'no version twice, no gap, no role goes back',
    ],
    [
      'a snapshot that names another file',
      withFile('targets', {
        sha256: first.files.find(({ role }) => role === 'targets')?.sha256 ?? '',
      }),
      [],
      'every state in the log verifies',
    ],
    [
      'bytes that are not there',
      { ...sound, files: new Map() },
      [],
      'every state in the log verifies',
    ],
    [
      'other bytes than the checksum says',
      {
        ...sound,
        files: new Map([...sound.files].map(([sha256, bytes]) => [sha256, changed(bytes)])),
      },
      [],
      'every state in the log verifies',
    ],
    [
      'a row too few',
      { ...sound, metafiles: sound.metafiles.slice(1) },
      [],
      'log and read model agree',
    ],
    [
      'a change too few',
      { ...sound, changefeed: sound.changefeed.slice(1) },
      [],
      'log and read model agree',
    ],
    [
      'a deletion that was taken back and is not',
      sound,
      [undelete],
      'every deletion that was taken back is in the log',
    ],
    [
      'a deletion that nobody took back',
      restored(),
      [],
      'every deletion that was taken back is in the log',
    ],
    [
      'a repository that came back as it was before',
      restored(first.files.slice()),
      [undelete],
      'what is restored is what was deleted',
    ],
    [
      'rows that did not come back',
      { ...restored(), metafiles: [] },
      [undelete],
      'log and read model agree',
    ],
    ['a projection that stands still', { ...sound, checkpoint: 1 }, [], 'the projection arrives'],
  ])('find %s', (_name, database, attempts, rule) => {
    expect(rulesBroken(database, attempts)).toContain(rule);
  });
});

const rulesOfKeysBroken = (
  events: readonly LoggedEvent[],
  keys: readonly HeldKey[],
  listed: readonly string[],
) => {
  const history = createHistory();
  checkKeys({ ...sound, events, keys }, new Set(listed), history);
  return history.violations.map(({ rule }) => rule);
};

describe('the check of keys after torture', () => {
  const made = { position: 3, gun, version: 3, type: 'KeyCreated', files: [] };
  const created = { ...made, key: { role: 'timestamp', keyid: 'a' } };
  const held = { keyid: 'a', gun, role: 'timestamp', isPending: true };
  test('finds nothing where each was made for a question of its own', () => {
    expect(rulesOfKeysBroken([created], [held], [])).toEqual([]);
    const used = { ...held, isPending: false };
    expect(rulesOfKeysBroken([created], [used, { ...held, keyid: 'b' }], ['a'])).toEqual([]);
  });

  test.each<[string, readonly LoggedEvent[], readonly HeldKey[], string]>([
    ['that is logged and nowhere', [created], [], 'every key in the log can sign'],
    [
      'of another repository',
      [created],
      [{ ...held, gun: 'another' }],
      'every key in the log can sign',
    ],
    ['that is logged twice', [created, created], [held], 'no key twice in the log'],
    [
      'made beside the one that was asked for',
      [created],
      [held, { ...held, keyid: 'b', isPending: false }],
      'no key is made twice for one question',
    ],
  ])('finds one %s', (_name, events, keys, rule) => {
    expect(rulesOfKeysBroken(events, keys, [])).toContain(rule);
  });
});

test('the second verifier refuses what nobody signed', () => {
  const root = sound.files.get(first.files.find(({ role }) => role === 'root')?.sha256 ?? '');
  const text = root?.toString() ?? '';
  const forged = text.replace(/"version":1/, '"version":7');

  expect(() => verifyRoot(Buffer.from(text))).not.toThrow();
  expect(forged).not.toBe(text);
  expect(() => verifyRoot(Buffer.from(forged))).toThrow('0 good signatures of 1');
});

function changed(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString().replaceAll('"version":2', '"version":2 '));
}
