import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Publisher, type Part, type Signed } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { gun, now, ownerOf, signedPartOf, signedText } from './testing/scenario.ts';

const refusal = (code: string, message: string, more: object = {}) =>
  expect.objectContaining({ name: 'TufError', code, message, ...more });

let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

const hash = (name: string, bytes: Uint8Array) => createHash(name).update(bytes).digest('base64');
const entry = ({ bytes }: Part) => ({
  hashes: { sha256: hash('sha256', bytes), sha512: hash('sha512', bytes) },
  length: bytes.length,
});

describe('what the server makes (WIRE §8)', () => {
  test('a first publish without targets has no snapshot', () => {
    expect(() => repository.verify(owner.root())).toThrow(
      refusal('VALIDATION', 'targets must be loaded first'),
    );
  });

  test.each<[string, () => Signed]>([
    ['no key', () => ({ keyids: [], threshold: 1 })],
    [
      'a threshold of two with one key',
      () => ({ keyids: [repository.timestampKey.keyid], threshold: 2 }),
    ],
  ])('a timestamp role with %s', (_, role) => {
    const root = owner.root({
      change: (signed) => Object.assign(signed['roles'] as Signed, { timestamp: role() }),
    });
    const message = 'no timestamp keys exist on the server';

    expect(() => repository.verify(root, owner.targets())).toThrow(refusal('BAD_ROOT', message));
  });

  test('a timestamp key that the server does not hold', () => {
    owner.handOver('timestamp', owner.newKey().publicKey);
    const message = 'no timestamp keys exist on the server';

    expect(() => repository.verify(owner.root(), owner.targets())).toThrow(
      refusal('BAD_ROOT', message),
    );
  });

  test('the snapshot lists sha256, sha512 and length of the exact bytes, for three years', () => {
    const root = owner.root();
    const targets = owner.targets({ a: 'x' });
    repository.publish(root, targets);
    const { signed } = JSON.parse(repository.text('snapshot')) as { signed: unknown };

    expect(signed).toEqual({
      _type: 'Snapshot',
      expires: '2029-05-31T12:00:00.25Z',
      meta: { root: entry(root), targets: entry(targets) },
      version: 1,
    });
  });

  test('the timestamp lists the snapshot, for a fortnight, in the form of Go', () => {
    repository.publish(owner.root(), owner.targets());
    const { bytes } = repository.file('snapshot');

    expect(repository.text('timestamp')).toMatch(
      /^\{"signed":.*,"signatures":\[\{"keyid":"[0-9a-f]{64}","method":"eddsa","sig":"[^"]{88}"\}\]\}$/,
    );
    expect(repository.text('timestamp')).toContain(
      `{"_type":"Timestamp","expires":"2026-06-15T12:00:00.25Z","meta":{"snapshot":{"hashes":{"sha256":"${hash('sha256', bytes)}","sha512":"${hash('sha512', bytes)}"},"length":${bytes.length}}},"version":1}`,
    );
  });

  test('entries of removed delegations stay, and the versions of the client go on', () => {
    owner = ownerOf(repository, { snapshot: false });
    owner.delegate('targets/a');
    repository.publish(
      owner.root(),
      owner.targets(),
      owner.delegation('targets/a'),
      owner.snapshot({ change: (signed) => (signed['version'] = 7) }),
    );
    owner.handOver('snapshot', repository.snapshotKey.publicKey);
    owner.undelegate('targets/a');
    repository.publish(owner.root(), owner.targets());
    const { signed } = JSON.parse(repository.text('snapshot')) as { signed: { meta: object } };

    expect(repository.versions()).toMatchObject({ snapshot: 8, timestamp: 2 });
    expect(Object.keys(signed.meta)).toEqual(['root', 'targets', 'targets/a']);
  });

  test('a version that no double holds is kept exactly, and verifies', () => {
    owner = ownerOf(repository, { snapshot: false });
    const parts = [owner.root(), owner.targets()];
    const text = signedPartOf(owner.snapshot());
    const high = text.replace('"version":1', '"version":9007199254740993');
    repository.publish(...parts, signedText('snapshot', high, owner.keysOf('snapshot')));
    owner.handOver('snapshot', repository.snapshotKey.publicKey);
    repository.publish(owner.root());

    expect(repository.file('snapshot').version).toBe(9_007_199_254_740_994n);
    expect(repository.text('snapshot')).toContain('"version":9007199254740994}');
  });

  test('no version follows the highest one', () => {
    owner = ownerOf(repository, { snapshot: false });
    const parts = [owner.root(), owner.targets()];
    const text = signedPartOf(owner.snapshot());
    const highest = text.replace('"version":1', '"version":9223372036854775807');
    repository.publish(...parts, signedText('snapshot', highest, owner.keysOf('snapshot')));
    owner.handOver('snapshot', repository.snapshotKey.publicKey);

    expect(() => repository.verify(owner.root())).toThrow(
      expect.objectContaining({ code: 'OLD_VERSION' }),
    );
  });

  test('an entry whose name no file can hold', () => {
    owner = ownerOf(repository, { snapshot: false });
    const parts = [owner.root(), owner.targets()];
    const text = signedPartOf(owner.snapshot()).replace('"meta":{', String.raw`"meta":{"a\nb":{},`);
    repository.publish(...parts, signedText('snapshot', text, owner.keysOf('snapshot')));
    owner.handOver('snapshot', repository.snapshotKey.publicKey);
    const message = String.raw`json: error calling MarshalJSON for type *json.RawMessage: invalid character '\n' in string literal`;

    expect(() => repository.verify(owner.root())).toThrow(refusal('VALIDATION', message));
  });
});
