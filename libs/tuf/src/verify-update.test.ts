import { beforeEach, describe, expect, test } from 'vitest';
import { type Publisher } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { dayBefore, gun, gunOf, now, ownerOf, withoutSignatures } from './testing/scenario.ts';
import type { RoleName } from './role.ts';
import { rolesInPlay, rolesRead } from './verify-update.ts';

const refusal = (code: string, message: string, more: object = {}) =>
  expect.objectContaining({ name: 'TufError', code, message, ...more });

let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

describe('the update as a whole (WIRE §6.1)', () => {
  test('is refused without a root, uploaded or stored', () => {
    const message = 'no pre-existing root and no root provided in update.';

    expect(() => repository.verify()).toThrow(refusal('VALIDATION', message));
    expect(() => repository.verify(owner.targets())).toThrow(refusal('VALIDATION', message));
  });

  test.each([
    [0, 1],
    [3, 1],
    [-1, 1],
  ])('a first root of version %i is refused', (version, current) => {
    const root = owner.root({ change: (signed) => (signed['version'] = version) });
    const message = `Root modifications must increment the version. Current ${current}, new ${version}`;

    expect(() => repository.verify(root, owner.targets())).toThrow(refusal('BAD_ROOT', message));
  });

  test.each([1, 2])('a first root of version %i is accepted', (version) => {
    const root = owner.root({ change: (signed) => (signed['version'] = version) });

    repository.publish(root, owner.targets());
    expect(repository.versions()).toEqual({ root: version, targets: 1, snapshot: 1, timestamp: 1 });
  });

  test.each([1, 4, 0])('root 2 is not followed by version %i', (version) => {
    repository.publish(owner.root(), owner.targets());
    repository.publish(owner.root());
    const root = owner.root({ change: (signed) => (signed['version'] = version) });
    const message = `Root modifications must increment the version. Current 2, new ${version}`;

    expect(() => repository.verify(root)).toThrow(refusal('BAD_ROOT', message));
  });

  test('the version of the root is looked at before anything else of it', () => {
    repository.publish(owner.root(), owner.targets());
    const empty = { role: 'root', bytes: new TextEncoder().encode('null x') } as const;
    const message = 'Root modifications must increment the version. Current 1, new 0';

    expect(() => repository.verify(empty)).toThrow(refusal('BAD_ROOT', message));
  });

  test('the stored root again, changed or not, ends in OLD_VERSION', () => {
    repository.publish(owner.root(), owner.targets());
    const again = { role: 'root', bytes: repository.file('root').bytes } as const;
    const changed = owner.root({ change: (signed) => (signed['version'] = 1) });

    expect(() => repository.verify(again)).toThrow(
      expect.objectContaining({ code: 'OLD_VERSION' }),
    );
    expect(() => repository.verify(changed)).toThrow(
      expect.objectContaining({ code: 'OLD_VERSION' }),
    );
  });

  test('a stored root whose certificate has expired is followed by nothing', () => {
    repository.publish(owner.root(), owner.targets());
    repository.now = new Date('2056-01-01T00:00:00Z');

    expect(() => repository.verify(owner.root())).toThrow(
      expect.objectContaining({ code: 'UNTRUSTED_STATE' }),
    );
    expect(() => repository.verify()).toThrow(expect.objectContaining({ code: 'UNTRUSTED_STATE' }));
  });

  describe('a stored root that was verified for an update before', () => {
    beforeEach(() => {
      repository.publish(owner.root(), owner.targets());
      repository.publish(owner.targets());
    });
    const untrusted = expect.objectContaining({ code: 'UNTRUSTED_STATE' });

    test.each([
      ['expired meanwhile', '2056-01-01T00:00:00Z'],
      ['is not valid yet by a clock that went back', '2006-01-01T00:00:00Z'],
    ])('is refused where its certificate %s, and trusted again in its time', (_, time) => {
      repository.now = new Date(time);
      expect(() => repository.verify(owner.targets())).toThrow(untrusted);
      repository.now = now;
      repository.publish(owner.targets());
    });

    test('is not trusted for another repository', () => {
      const other = new Repository(gunOf('docker.io/library/debian'), now);
      for (const [role, file] of repository.current) other.current.set(role, file);

      expect(() => other.verify(owner.targets())).toThrow(untrusted);
    });

    test('is known by its bytes, whatever is said about their checksum', () => {
      const { role, version, sha256, bytes } = repository.file('root');
      const other = withoutSignatures({ role, bytes });
      repository.current.set('root', { ...other, version, sha256 });

      expect(() => repository.verify(owner.targets())).toThrow(untrusted);
    });
  });

  test('stored metadata may have expired', () => {
    repository.publish(owner.root(), owner.targets());
    owner.delegate('targets/a');
    repository.publish(owner.targets());
    repository.now = new Date('2028-01-01T00:00:00Z');
    const expires = '2029-01-01T00:00:00Z';

    repository.publish(owner.delegation('targets/a', {}, { expires }));
    expect(repository.versions()).toMatchObject({ 'targets/a': 1, snapshot: 3 });
  });

  test('an update without files makes snapshot and timestamp anew', () => {
    repository.publish(owner.root(), owner.targets());

    expect(repository.publish().metafiles).toEqual([]);
    expect(repository.versions()).toEqual({ root: 1, targets: 1, snapshot: 2, timestamp: 2 });
  });

  test('of several parts for a role the last one counts, and a timestamp is ignored', () => {
    const bad = withoutSignatures(owner.targets());
    const timestamp = { role: 'timestamp', bytes: new TextEncoder().encode('{}') } as const;
    const { metafiles } = repository.publish(timestamp, bad, owner.root(), owner.targets());

    expect(metafiles.map(({ role }) => role)).toEqual(['root', 'targets']);
    expect(repository.versions()).toEqual({ root: 1, targets: 2, snapshot: 1, timestamp: 1 });
  });

  test('a stored version is never stored again, for whatever role', () => {
    repository.publish(owner.root(), owner.targets());
    const old = owner.targets({}, { change: (signed) => (signed['version'] = 1) });

    expect(() => repository.verify(old)).toThrow(expect.objectContaining({ code: 'OLD_VERSION' }));
  });

  test('versions of other roles than root may skip', () => {
    repository.publish(owner.root(), owner.targets());
    repository.publish(owner.targets({}, { change: (signed) => (signed['version'] = 40) }));

    expect(repository.versions()).toMatchObject({ targets: 40 });
  });

  test('parents are judged before children, and by name', () => {
    repository.publish(owner.root(), owner.targets());
    owner.delegate('targets/b');
    owner.delegate('targets/a/a');
    const parts = [
      owner.delegation('targets/a/a'),
      owner.delegation('targets/b', {}, { expires: dayBefore }),
      owner.targets(),
    ];
    owner.delegate('targets/a');
    parts.push(owner.delegation('targets/a', {}, { expires: dayBefore }), owner.targets());
    const message = 'targets/a expired at Sun May 31 12:00:00 UTC 2026';

    expect(() => repository.verify(...parts)).toThrow(refusal('BAD_TARGETS', message));
  });

  test('roles in play: the top-level ones, the uploaded ones and their ancestors', () => {
    const top = ['root', 'targets', 'snapshot', 'timestamp'];

    expect(rolesInPlay([])).toEqual(top);
    expect(rolesInPlay(['root', 'targets/a/b/c', 'targets/d'])).toEqual([
      ...top,
      'targets/a',
      'targets/a/b',
      'targets/a/b/c',
      'targets/d',
    ]);
  });

  test.each<[RoleName[], RoleName[]]>([
    [[], ['root', 'snapshot']],
    [
      ['root', 'targets'],
      ['root', 'snapshot'],
    ],
    [['root', 'targets', 'snapshot'], ['root']],
    [['targets/a'], ['root', 'targets', 'snapshot']],
    [
      ['targets', 'targets/a/b'],
      ['root', 'targets/a', 'snapshot'],
    ],
  ])('of an upload of %j the stored files of %j are read', (uploaded, read) => {
    expect(rolesRead(uploaded)).toEqual(read);
  });
});
