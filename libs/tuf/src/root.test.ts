import { beforeEach, describe, expect, test } from 'vitest';
import { certifiedKey, type OwnKey } from './testing/keys.ts';
import { createPublisher, type Publisher, type Part, type Signed } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { gun, gunOf, now, ownerOf, rewritten, withoutSignatures } from './testing/scenario.ts';

const refusal = (code: string, message: string, more: object = {}) =>
  expect.objectContaining({ name: 'TufError', code, message, ...more });

let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

const roles = (signed: Signed) => signed['roles'] as Record<string, Signed>;
const keys = (signed: Signed) => signed['keys'] as Record<string, Signed>;
const anyKey = (signed: Signed) => Object.values(keys(signed))[0] ?? {};

const version = (next: number) => (signed: Signed) => (signed['version'] = next);

/** Lists these keys for the root role. */
const rootKeys = (own: readonly OwnKey[], threshold: number, next: number) => (signed: Signed) => {
  for (const { keyid, publicKey } of own) {
    const keyval = { private: null, public: publicKey.public };
    keys(signed)[keyid] = { keytype: publicKey.keytype, keyval };
  }
  roles(signed)['root'] = { keyids: own.map(({ keyid }) => keyid), threshold };
  signed['version'] = next;
};

/** A root key whose certificate ends then. */
const rootKey = (seed: string, notAfter: string) =>
  certifiedKey(seed, { commonName: gun, notBefore: now, notAfter: new Date(notAfter) });

describe('root (WIRE §6.2)', () => {
  test.each<[string, (signed: Signed) => void]>([
    [
      'json: cannot unmarshal string into Go value of type bool',
      (signed) => (signed['consistent_snapshot'] = 'no'),
    ],
    [
      'json: cannot unmarshal number into Go value of type bool',
      (signed) => (signed['consistent_snapshot'] = 1),
    ],
    [
      'json: cannot unmarshal array into Go value of type map[string]data.TUFKey',
      (signed) => (signed['keys'] = []),
    ],
    [
      'json: cannot unmarshal string into Go value of type data.TUFKey',
      (signed) => (keys(signed)['x'] = 'y' as never),
    ],
    [
      'json: cannot unmarshal bool into Go value of type string',
      (signed) => (anyKey(signed)['keytype'] = true),
    ],
    [
      'json: cannot unmarshal array into Go value of type data.KeyPair',
      (signed) => (anyKey(signed)['keyval'] = []),
    ],
    [
      'illegal base64 data at input byte 0',
      (signed) => (anyKey(signed)['keyval'] = { public: 'Q' }),
    ],
    [
      'json: cannot unmarshal string into Go value of type map[data.RoleName]*data.RootRole',
      (signed) => (signed['roles'] = 'x'),
    ],
    [
      'json: cannot unmarshal array into Go value of type data.RootRole',
      (signed) => (roles(signed)['extra'] = [] as never),
    ],
    [
      'json: cannot unmarshal object into Go value of type []string',
      (signed) => (roles(signed)['root'] = { keyids: {}, threshold: 1 }),
    ],
    [
      'json: cannot unmarshal number into Go value of type string',
      (signed) => (roles(signed)['root'] = { keyids: [1], threshold: 1 }),
    ],
    [
      'json: cannot unmarshal string into Go value of type int',
      (signed) => (roles(signed)['root'] = { keyids: [], threshold: '1' }),
    ],
    [
      'root type metadata invalid: expected type Root, not Targets',
      (signed) => (signed['_type'] = 'Targets'),
    ],
    [
      'root type metadata invalid: expected type Root, not root',
      (signed) => (signed['_type'] = 'root'),
    ],
    ['root type metadata invalid: expected type Root, not ', (signed) => delete signed['_type']],
    [
      'root type metadata invalid: missing root role specification',
      (signed) => delete signed['roles'],
    ],
    [
      'root type metadata invalid: missing targets role specification',
      (signed) => delete roles(signed)['targets'],
    ],
    [
      'root type metadata invalid: missing snapshot role specification',
      (signed) => (roles(signed)['snapshot'] = null as never),
    ],
    [
      'root type metadata invalid: invalid threshold specified for root: 0 ',
      (signed) => (roles(signed)['root'] = { keyids: [] }),
    ],
    [
      'root type metadata invalid: invalid threshold specified for timestamp: -3 ',
      (signed) => (roles(signed)['timestamp'] = { keyids: ['x'], threshold: -3 }),
    ],
    [
      'root type metadata invalid: key ID y specified in targets without corresponding key',
      (signed) => {
        const [known] = Object.keys(keys(signed));
        roles(signed)['targets'] = { keyids: [known, 'y', 'z'], threshold: 1 };
      },
    ],
    [
      'could not validate the path to a trusted root: unable to retrieve valid leaf certificates',
      (signed) => {
        const bare = roles(signed)['targets'];
        roles(signed)['root'] = bare ?? {};
      },
    ],
    [
      'could not validate the path to a trusted root: unable to retrieve valid leaf certificates',
      (signed) => (roles(signed)['root'] = { keyids: [], threshold: 1 }),
    ],
  ])('%s', (message, change) => {
    const root = owner.root({ change });

    expect(() => repository.verify(root, owner.targets())).toThrow(refusal('BAD_ROOT', message));
  });

  test.each([
    ['1.5', 'json: cannot unmarshal number 1.5 into Go value of type int'],
    ['1e0', 'json: cannot unmarshal number 1e0 into Go value of type int'],
    [
      '9223372036854775808',
      'json: cannot unmarshal number 9223372036854775808 into Go value of type int',
    ],
  ])('threshold %s', (threshold, message) => {
    const root = rewritten(owner.root(), (text) =>
      text.replace('"threshold":1', `"threshold":${threshold}`),
    );

    expect(() => repository.verify(root)).toThrow(refusal('BAD_ROOT', message));
  });

  test('text after the document', () => {
    const root = rewritten(owner.root(), (text) => `${text}x`);
    const message = "invalid character 'x' after top-level value";

    expect(() => repository.verify(root)).toThrow(refusal('BAD_ROOT', message));
  });

  const untrusted =
    'could not validate the path to a trusted root: failed to validate integrity of roots';
  const notRotated =
    'could not rotate trust to a new trusted root: failed to validate data with current trusted certificates';

  test.each<[string, () => Part]>([
    ['no signature', () => withoutSignatures(owner.root())],
    ['a signature by another key', () => owner.root({ signers: [owner.newKey()] })],
    [
      'a signature over something else',
      () => rewritten(owner.root(), (text) => text.replace(/"expires":"2027/, '"expires":"2028')),
    ],
    [
      'fewer than the threshold',
      () =>
        owner.root({
          change: (signed) =>
            void (roles(signed)['root'] = { ...roles(signed)['root'], threshold: 2 }),
        }),
    ],
    [
      'one key twice for a threshold of two',
      () => {
        const [key] = owner.keysOf('root');
        return owner.root({
          signers: key === undefined ? [] : [key, key],
          change: (signed) =>
            void (roles(signed)['root'] = { ...roles(signed)['root'], threshold: 2 }),
        });
      },
    ],
  ])('a first root with %s', (_, root) => {
    expect(() => repository.verify(root(), owner.targets())).toThrow(
      refusal('BAD_ROOT', untrusted),
    );
  });

  test('an expired root', () => {
    const expires = '2020-06-01T12:34:56.789+02:00';
    const message = 'root expired at Mon Jun 1 12:34:56 +0200 2020';

    expect(() => repository.verify(owner.root({ expires }))).toThrow(refusal('BAD_ROOT', message));
  });

  test('a root without an expiry', () => {
    const root = owner.root({ change: (signed) => void (signed['expires'] = null) });
    const message = 'root expired at Mon Jan 1 00:00:00 UTC 0001';

    expect(() => repository.verify(root)).toThrow(refusal('BAD_ROOT', message));
  });

  test('a root that expires now has not expired yet', () => {
    repository.publish(owner.root({ expires: '2026-06-01T12:00:00.25Z' }), owner.targets());
    const late = owner.root({ expires: '2026-06-01T12:00:00.249999999Z' });
    const message = 'root expired at Mon Jun 1 12:00:00 UTC 2026';

    expect(() => repository.verify(late)).toThrow(refusal('BAD_ROOT', message));
  });

  test('a root certificate for another repository', () => {
    const other = createPublisher(gunOf('docker.io/library/debian'), {
      serverKeys: { timestamp: repository.timestampKey.publicKey },
      now,
    });
    const message =
      'could not validate the path to a trusted root: unable to retrieve valid leaf certificates';

    expect(() => repository.verify(other.root())).toThrow(refusal('BAD_ROOT', message));
  });

  describe('rotation', () => {
    beforeEach(() => {
      repository.publish(owner.root(), owner.targets());
    });

    test('is refused without the old key', () => {
      owner.rotate('root');
      const root = owner.root({ signers: owner.keysOf('root') });

      expect(() => repository.verify(root)).toThrow(refusal('BAD_ROOT', notRotated));
    });

    test('is refused without the new key', () => {
      const former = owner.keysOf('root');
      owner.rotate('root');

      expect(() => repository.verify(owner.root({ signers: former }))).toThrow(
        refusal('BAD_ROOT', untrusted),
      );
    });

    test('by somebody else with a certificate for the same repository is refused', () => {
      const thief = ownerOf(repository, { snapshot: true, seed: 'thief' });
      thief.root();

      expect(() => repository.verify(thief.root())).toThrow(refusal('BAD_ROOT', notRotated));
    });

    test('is accepted when old and new sign, and holds from then on', () => {
      const former = owner.keysOf('root');
      owner.rotate('root');
      repository.publish(owner.root());

      const byFormer = owner.root({ change: version(3), signers: former });
      expect(() => repository.verify(byFormer)).toThrow(refusal('BAD_ROOT', notRotated));
      repository.publish(owner.root({ change: version(3) }));
      expect(repository.versions()).toMatchObject({ root: 3 });
    });

    test('adding a key needs only the old one; raising the threshold needs both', () => {
      const both = [...owner.keysOf('root'), rootKey('added', '2030-01-01')];
      const alone = owner.root({ change: rootKeys(both, 2, 2) });

      expect(() => repository.verify(alone)).toThrow(refusal('BAD_ROOT', untrusted));
      repository.publish(owner.root({ change: rootKeys(both, 1, 2) }));
      repository.publish(owner.root({ change: rootKeys(both, 2, 3), signers: both }));
      expect(repository.versions()).toMatchObject({ root: 3 });
    });

    test('lowering the threshold needs the old threshold of old keys', () => {
      const both = [...owner.keysOf('root'), rootKey('added', '2030-01-01')];
      repository.publish(owner.root({ change: rootKeys(both, 2, 2), signers: both }));
      const lowered = owner.root({ change: rootKeys(both, 1, 3), signers: both.slice(0, 1) });

      expect(() => repository.verify(lowered)).toThrow(refusal('BAD_ROOT', notRotated));
      repository.publish(owner.root({ change: rootKeys(both, 1, 3), signers: both }));
      expect(repository.versions()).toMatchObject({ root: 3 });
    });

    test('a certificate that has expired since may still hand over', () => {
      const brief = rootKey('brief', '2026-06-02');
      const lasting = rootKey('lasting', '2030-01-01');
      const next = rootKey('next', '2030-01-01');
      const other = new Repository(gun, now);
      const first = { change: rootKeys([brief, lasting], 1, 1), signers: [brief] };
      other.publish(owner.root(first), owner.targets());
      other.now = new Date('2026-07-01');

      const byBrief = owner.root({ change: rootKeys([next], 1, 2), signers: [brief, next] });
      expect(() => other.verify(byBrief)).toThrow(
        expect.objectContaining({ code: 'UNTRUSTED_STATE' }),
      );
      other.now = now;
      const second = { change: rootKeys([brief, lasting], 1, 2), signers: [brief, lasting] };
      other.publish(owner.root(second));
      other.now = new Date('2026-07-01');
      other.publish(owner.root({ change: rootKeys([next], 1, 3), signers: [brief, next] }));
      expect(other.versions()).toMatchObject({ root: 3 });
    });

    test('targets, snapshot and timestamp keys may change with the root alone', () => {
      owner.rotate('targets');
      owner.takeBackSnapshot();
      const root = owner.root();
      const targets = owner.targets();
      repository.publish(root, targets, owner.snapshot({ change: version(2) }));

      expect(repository.versions()).toEqual({ root: 2, targets: 2, snapshot: 2, timestamp: 2 });
    });

    test('targets signed by a key that the new root no longer lists are not trusted', () => {
      owner.delegate('targets/a');
      repository.publish(owner.targets());
      owner.rotate('targets');
      const parts = [owner.root(), owner.delegation('targets/a')];

      expect(() => repository.verify(...parts)).toThrow(
        expect.objectContaining({ code: 'UNTRUSTED_STATE' }),
      );
    });
  });
});
