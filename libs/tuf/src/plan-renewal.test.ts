import { beforeEach, describe, expect, test } from 'vitest';
import { keyId } from './key.ts';
import { isExpired, planRenewal, serverKeyOf } from './plan-renewal.ts';
import type { Publisher } from './testing/publisher.ts';
import type { ServerRole } from './role.ts';
import { Repository } from './testing/repository.ts';
import { gun, now, ownerOf, signedPartOf, signedText } from './testing/scenario.ts';

const inAFortnight = new Date('2026-06-15T12:00:00.250Z');
const later = new Date('2026-06-15T12:00:00.251Z');
const inThreeYears = new Date('2029-06-01T00:00:00Z');
let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

/** The owner signs the snapshot, which expires then. */
function publishOwnSnapshot(expires: string): void {
  owner = ownerOf(repository, { snapshot: false });
  repository.publish(owner.root(), owner.targets(), owner.snapshot({ expires }));
}

describe('nothing is renewed (WIRE §8.4)', () => {
  test('when nothing is stored', () => {
    expect(repository.renew()).toBeUndefined();
  });

  test('when nothing has expired, not even at the moment of its expiry', () => {
    repository.publish(owner.root(), owner.targets());
    repository.now = inAFortnight;

    expect(repository.renew()).toBeUndefined();
  });

  test('when the server no longer holds the timestamp key', () => {
    repository.publish(owner.root(), owner.targets());
    const { current } = repository;

    expect(planRenewal({ gun, current, serverKeys: new Set(), now: later })).toBeUndefined();
  });

  test('when the snapshot has expired, but its owner holds the key', () => {
    publishOwnSnapshot('2026-06-03T00:00:00Z');
    repository.now = new Date('2026-06-04T00:00:00Z');

    expect(repository.renew()).toBeUndefined();
  });

  test('when no version follows that of the timestamp', () => {
    repository.publish(owner.root(), owner.targets());
    const timestamp = repository.file('timestamp');
    repository.current.set('timestamp', { ...timestamp, version: 2n ** 63n - 1n });
    repository.now = later;

    expect(repository.renew()).toBeUndefined();
  });

  test('when the old snapshot lists a name that no new one can', () => {
    owner = ownerOf(repository, { snapshot: false });
    const parts = [owner.root(), owner.targets()];
    const text = signedPartOf(owner.snapshot({ expires: '2026-06-03T00:00:00Z' }));
    const odd = text.replace('"meta":{', String.raw`"meta":{"a\nb":{},`);
    repository.publish(...parts, signedText('snapshot', odd, owner.keysOf('snapshot')));
    const root = ownerOf(repository, { snapshot: true }).root();
    const { sha256 } = repository.file('root');
    repository.current.set('root', { role: 'root', bytes: root.bytes, sha256, version: 1n });
    repository.now = new Date('2026-06-04T00:00:00Z');

    expect(repository.renew()).toBeUndefined();
  });
});

describe('what has expired is renewed (WIRE §8.4)', () => {
  test('the timestamp alone, for the same snapshot', () => {
    repository.publish(owner.root(), owner.targets());
    const snapshot = repository.file('snapshot');
    repository.now = later;
    const request = repository.renew();

    expect(request?.snapshot).toBeUndefined();
    expect(request?.timestamp).toMatchObject({
      version: 2n,
      expires: '2026-06-29T12:00:00.251Z',
      snapshot,
    });
    expect(repository.versions()).toMatchObject({ snapshot: 1, timestamp: 2 });
  });

  test('the snapshot and so the timestamp, with the same entries', () => {
    owner.delegate('targets/a');
    repository.publish(owner.root(), owner.targets(), owner.delegation('targets/a'));
    const meta = () => /"meta":\{.*\}\},/.exec(repository.text('snapshot'))?.[0];
    const before = meta();
    repository.now = inThreeYears;
    repository.renew();

    expect(repository.versions()).toMatchObject({ snapshot: 2, timestamp: 2 });
    expect(repository.text('snapshot')).toContain('"expires":"2032-05-31T00:00:00Z"');
    expect(meta()).toBe(before);
  });

  test('the timestamp of an expired snapshot that its owner signs', () => {
    publishOwnSnapshot('2026-06-03T00:00:00Z');
    repository.now = later;

    expect(repository.renew()?.timestamp.version).toBe(2n);
    expect(repository.versions()).toMatchObject({ snapshot: 1, timestamp: 2 });
  });

  test('ahead of its expiry, when the caller says so', () => {
    repository.publish(owner.root(), owner.targets());
    const { current, serverKeys } = repository;
    const renewal = (...due: ServerRole[]) =>
      planRenewal({ gun, current, serverKeys, now, due: new Set(due) });

    expect(renewal()).toBeUndefined();
    expect(renewal('timestamp')).toMatchObject({
      timestamp: { version: 2n, expires: '2026-06-15T12:00:00.25Z' },
    });
    expect(renewal('timestamp')?.snapshot).toBeUndefined();
    expect(renewal('snapshot')).toMatchObject({
      snapshot: { version: 2n },
      timestamp: { version: 2n },
    });
  });
});

test('a file has expired strictly after its expiry', () => {
  repository.publish(owner.root(), owner.targets());
  const timestamp = repository.file('timestamp');

  expect(isExpired(timestamp, inAFortnight)).toBe(false);
  expect(isExpired(timestamp, later)).toBe(true);
});

describe('the key of a server role (WIRE §4)', () => {
  test('is none where the owner holds it', () => {
    publishOwnSnapshot('2027-01-01T00:00:00Z');

    expect(serverKeyOf(repository.file('root'), 'snapshot', repository.serverKeys)).toBeUndefined();
  });

  test('is the first one of the root that the server holds', () => {
    repository.publish(owner.root(), owner.targets());
    const key = serverKeyOf(repository.file('root'), 'snapshot', repository.serverKeys);

    expect(key && keyId(key)).toBe(repository.snapshotKey.keyid);
  });
});
