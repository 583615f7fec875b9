import { beforeEach, describe, expect, test } from 'vitest';
import { TufError } from './errors.ts';
import { DEFAULT_GUARD, GuardRefusal, type Guard } from './guard.ts';
import { keyId } from './key.ts';
import { sha256Of } from './metafile.ts';
import type { Part, Publisher, Signed } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { gun, now, ownerOf, rewritten, signedPartOf, signedText } from './testing/scenario.ts';

let repository: Repository;
let owner: Publisher;
beforeEach(() => {
  repository = new Repository(gun, now);
  repository.guard = DEFAULT_GUARD;
  owner = ownerOf(repository, { snapshot: true });
  repository.publish(owner.root(), owner.targets());
});

/**
 * What the guard says to an update that Notary's rules would let pass; undefined where it lets it
 * pass, too.
 */
function refusalOf(...parts: readonly Part[]): string | undefined {
  const thrown = thrownBy(() => repository.verify(...parts));
  if (thrown === undefined) return undefined;
  if (!(thrown instanceof TufError && thrown.cause instanceof GuardRefusal)) throw thrown;
  const refused = thrown.cause.files.map(({ sha256 }) => sha256);
  const uploaded = new Set(parts.map(({ bytes }) => sha256Of(bytes)));
  if (refused.length === 0 || !refused.every((sha256) => uploaded.has(sha256))) {
    throw new Error('a refusal names what it refuses');
  }
  const { guard } = repository;
  repository.guard = undefined;
  repository.verify(...parts);
  repository.guard = guard;
  return `${thrown.code} ${thrown.message}`;
}

function thrownBy(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The next targets with their text changed and signed as it then stands. */
const retexted = (change: (text: string) => string, part = owner.targets()): Part =>
  signedText(part.role, change(signedPartOf(part)), owner.keysOf(part.role));
const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
const withLimits = (limits: Partial<Guard>) => {
  repository.guard = { ...DEFAULT_GUARD, ...limits };
};

describe('versions', () => {
  test.each([
    ['1000001', undefined],
    ['1000002', 'version 1000002 is more than 1000000 above version 1'],
    ['2147483647', 'version 2147483647 is more than 1000000 above version 1'],
    ['2147483648', 'version 2147483648 is above 2147483647, and clients cannot read it'],
    [
      '9223372036854775807',
      'version 9223372036854775807 is above 2147483647, and clients cannot read it',
    ],
  ])('targets %s after 1: %s', (version, message) => {
    const part = retexted((text) => text.replace('"version":2', `"version":${version}`));

    expect(refusalOf(part)).toBe(message && `BAD_TARGETS targets refused: ${message}`);
  });

  test('count from 0 for a first file', () => {
    withLimits({ versionJump: 1n });
    owner.delegate('targets/a');
    const parts = [owner.targets(), owner.delegation('targets/a')];
    expect(refusalOf(...parts)).toBeUndefined();

    const second = owner.delegation('targets/a');
    const [targets] = parts;
    if (targets === undefined) throw new Error('targets were made');
    const message = 'targets/a refused: version 2 is more than 1 above version 0';
    expect(refusalOf(targets, second)).toBe(`BAD_TARGETS ${message}`);
  });
});

describe('members', () => {
  test.each(['Signed', 'signature', '', 'unsigned'])('%j beside the signed part', (name) => {
    const part = rewritten(owner.targets(), (text) =>
      text.replace('{', `{${JSON.stringify(name)}:1,`),
    );

    expect(refusalOf(part)).toBe(
      `BAD_TARGETS targets refused: member ${JSON.stringify(name)} beside signed and signatures`,
    );
  });

  test.each([
    ['"Version":9', 'Version'],
    ['"EXPIRES":"2020-01-01T00:00:00Z"', 'EXPIRES'],
    ['"expire\u017f":"2020-01-01T00:00:00Z"', 'expire\u017f'],
    ['"Targets":{}', 'Targets'],
    ['"Delegations":{}', 'Delegations'],
  ])('%s in it, which clients take for another one', (member, name) => {
    const part = retexted((text) => text.replace('"_type"', `${member},"_type"`));

    expect(refusalOf(part)).toBe(
      `BAD_TARGETS targets refused: member ${JSON.stringify(name)} is not written as clients expect it`,
    );
  });

  test.each<[string, string]>([
    ['"length":', '"Length":7,"length":'],
    ['"keyval":', '"KeyVal":{},"keyval":'],
    ['"private":', '"Private":"","private":'],
    ['"paths":', '"Paths":[],"paths":'],
    ['"keyids":', '"KeyIDs":[],"keyids":'],
  ])('%s twice in cases that clients do not tell apart', (member, both) => {
    owner.delegate('targets/a');
    const part = retexted((text) => text.replace(member, both), owner.targets({ file: 'x' }));

    expect(refusalOf(part)).toContain('is not written as');
  });

  test('of names that are free, and unknown ones, may be anything', () => {
    const part = retexted((text) =>
      text
        .replace(
          '"targets":{}',
          '"targets":{"Version":{"hashes":{"SHA256":"","Length":""},"custom":{"LENGTH":1}}}',
        )
        .replace('"_type"', '"_TYPES":1,"_type"'),
    );

    expect(refusalOf(part)).toBeUndefined();
  });
});

describe('nesting', () => {
  test.each([
    [98, undefined],
    [99, undefined],
    [100, 'targets refused: nested more than 100 deep'],
    [9_000, 'targets refused: nested more than 100 deep'],
  ])('of %i lists in the signed part: %s', (levels, message) => {
    const part = retexted((text) => text.replace('"_type"', `"x":${nested(levels)},"_type"`));

    expect(refusalOf(part)).toBe(message && `BAD_TARGETS ${message}`);
  });
});

describe('numbers', () => {
  test.each(['-1', '9007199254740992', '9223372036854775807'])('a length of %s', (length) => {
    const part = retexted(
      (text) => text.replace(/"length":\d+/, `"length":${length}`),
      owner.targets({ file: 'content' }),
    );

    const message = `targets refused: length ${length} is none that clients can work with`;
    expect(refusalOf(part)).toBe(`BAD_TARGETS ${message}`);
  });

  test('a length in a snapshot', () => {
    repository = new Repository(gun, now);
    repository.guard = DEFAULT_GUARD;
    owner = ownerOf(repository, { snapshot: false });
    const parts = [owner.root(), owner.targets()];
    const snapshot = retexted(
      (text) => text.replace(/"length":\d+/, '"length":9007199254740992'),
      owner.snapshot(),
    );

    const message = 'snapshot refused: length 9007199254740992 is none that clients can work with';
    expect(refusalOf(...parts, snapshot)).toBe(`BAD_SNAPSHOT ${message}`);
  });

  test('a threshold of a delegation', () => {
    owner.delegate('targets/a');
    const part = retexted((text) => text.replace('"threshold":1', '"threshold":2147483648'));

    expect(refusalOf(part)).toBe(
      'BAD_TARGETS targets refused: threshold 2147483648 is above 2147483647',
    );
  });
});

const threshold = (role: string, value: number, more: (keyids: string[]) => void = () => {}) => {
  return (signed: Signed) => {
    const roles = signed['roles'] as Record<string, { threshold: number; keyids: string[] }>;
    const found = roles[role];
    if (found === undefined) throw new Error(`${role} is no role`);
    found.threshold = value;
    more(found.keyids);
  };
};

describe('thresholds', () => {
  test('of targets above its keys', () => {
    const root = owner.root({ change: threshold('targets', 2) });

    expect(refusalOf(root)).toBe(
      'BAD_ROOT root refused: threshold 2 of targets is above its 1 keys',
    );
  });

  test('of targets above its distinct keys', () => {
    const root = owner.root({
      change: threshold('targets', 2, (keyids) => keyids.push(...keyids)),
    });

    expect(refusalOf(root)).toBe(
      'BAD_ROOT root refused: threshold 2 of targets is above its 1 keys',
    );
  });

  test('of a delegation above its keys are for clients to live with, unless all are asked for', () => {
    owner.delegate('targets/a', { keys: [] });
    const part = owner.targets();
    expect(refusalOf(part)).toBeUndefined();

    withLimits({ thresholds: 'all' });
    expect(refusalOf(part)).toBe(
      'BAD_TARGETS targets refused: threshold 1 of targets/a is above its 0 keys',
    );
  });
});

const signatures = (part: Part, count: number) =>
  rewritten(part, (text) => {
    const [one = ''] = /\{"keyid".*?\}/.exec(text) ?? [];
    return text.replace(/"signatures":.*/, `"signatures":[${Array(count).fill(one).join(',')}]}`);
  });

describe('what would cost too much to verify is refused before', () => {
  test('signatures', () => {
    const targets = owner.targets();
    expect(refusalOf(signatures(targets, 256))).toBeUndefined();
    const message = 'targets refused: there are 257 signatures, and may be 256';
    expect(refusalOf(signatures(targets, 257))).toBe(`BAD_TARGETS ${message}`);
  });

  test('keys of a root', () => {
    const root = owner.root({
      change: (signed) => {
        const keys = signed['keys'] as Record<string, unknown>;
        for (let n = Object.keys(keys).length; n < 257; n += 1) {
          const key = { keytype: 'ed25519', public: Buffer.from([n >> 8, n]).toString('base64') };
          keys[keyId(key)] = {
            keytype: key.keytype,
            keyval: { private: null, public: key.public },
          };
        }
      },
    });
    const message = 'root refused: there are 257 keys, and may be 256';
    expect(refusalOf(root)).toBe(`BAD_ROOT ${message}`);
  });

  test('roles', () => {
    withLimits({ roles: 2 });
    const names = ['targets/a', 'targets/b'] as const;
    for (const name of names) owner.delegate(name);
    const parts = [owner.targets(), ...names.map((name) => owner.delegation(name))];
    const double = parts[0] ?? owner.targets();

    expect(refusalOf(double, ...parts.slice(0, 2))).toBeUndefined();
    expect(refusalOf(...parts)).toBe('VALIDATION the update has 3 roles, and may have 2');
  });
});

test('what Notary refuses has its own text, whatever the guard would say', () => {
  const forged = rewritten(owner.targets(), (text) =>
    text.replace('{', '{"Signed":1,').replace('"version":2', '"version":99999999999'),
  );

  expect(() => repository.verify(forged)).toThrow(
    expect.objectContaining({ message: 'valid signatures did not meet threshold for targets' }),
  );
});

test('everything that a client does passes', () => {
  owner.delegate('targets/releases');
  owner.delegate('targets/releases/a', { keys: [] });
  owner.delegate('targets/b', { paths: [] });
  const all = () => [
    owner.root(),
    owner.targets({ '<&>': 'x', '': 'y' }),
    owner.delegation('targets/releases', { file: 'z' }),
    owner.delegation('targets/b'),
  ];
  repository.publish(...all());
  for (const role of ['root', 'targets'] as const) {
    owner.rotate(role);
    repository.publish(...all());
  }
  owner.undelegate('targets/b');
  repository.publish(owner.targets());
  const snapshot = () => {
    const version = Number(repository.file('snapshot').version) + 1;
    return owner.snapshot({ change: (signed) => Object.assign(signed, { version }) });
  };
  owner.takeBackSnapshot();
  repository.publish(owner.root(), owner.targets(), snapshot());
  owner.rotate('snapshot');
  repository.publish(owner.root(), snapshot());
  owner.handOver('snapshot', repository.snapshotKey.publicKey);
  repository.publish(owner.root());
  repository.publish();

  expect(repository.versions()).toMatchObject({ root: 7, targets: 6, timestamp: 9 });
});
