import { beforeEach, describe, expect, test } from 'vitest';
import { type Publisher, type Part, type Signed } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { dayBefore, gun, now, ownerOf, rewritten, withoutSignatures } from './testing/scenario.ts';

const refusal = (code: string, message: string, more: object = {}) =>
  expect.objectContaining({ name: 'TufError', code, message, ...more });

let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

/** A first publish whose snapshot was changed before or after it was signed. */
function publish(change: (signed: Signed) => void, file: (part: Part) => Part = (part) => part) {
  const parts = [owner.root(), owner.targets()];
  return repository.verify(...parts, file(owner.snapshot({ change })));
}

const sha256OfZeros = '00'.repeat(32);
const zeros = (length: number) => Buffer.alloc(length).toString('base64');
const meta = (signed: Signed) => signed['meta'] as Record<string, Signed>;
const rootHashes = (signed: Signed) => (meta(signed)['root'] ?? {})['hashes'] as Signed;

describe('a snapshot that the client signs (WIRE §6.5)', () => {
  beforeEach(() => {
    owner = ownerOf(repository, { snapshot: false });
  });

  test('is missing', () => {
    const message =
      'no snapshot was included in update and server does not hold current snapshot key for repository';

    expect(() => repository.verify(owner.root(), owner.targets())).toThrow(
      refusal('BAD_HIERARCHY', message, { missing: 'snapshot' }),
    );
  });

  test.each<[string, (part: Part) => Part]>([
    ['tuf: data has no signatures', withoutSignatures],
    [
      'valid signatures did not meet threshold for snapshot',
      (part) => rewritten(part, (text) => text.replace('"version":1', '"version":2')),
    ],
    [
      "invalid character 'é' after top-level value",
      (part) => rewritten(part, (text) => `${text}\u{E9}`),
    ],
  ])('%s', (message, file) => {
    const shown = message.replace('é', 'Ã');

    expect(() => publish(() => undefined, file)).toThrow(refusal('BAD_SNAPSHOT', shown));
  });

  test.each<[string, (signed: Signed) => void]>([
    [
      'json: cannot unmarshal array into Go value of type data.Files',
      (signed) => (signed['meta'] = []),
    ],
    [
      'snapshot type metadata invalid: expected type Snapshot, not snapshot',
      (signed) => (signed['_type'] = 'snapshot'),
    ],
    [
      'snapshot type metadata invalid: version cannot be less than one',
      (signed) => (signed['version'] = 0),
    ],
    [
      'snapshot type metadata invalid: missing root sha256 checksum information',
      (signed) => (signed['meta'] = null),
    ],
    [
      'snapshot type metadata invalid: missing targets sha256 checksum information',
      (signed) => (meta(signed)['targets'] = { hashes: { sha512: zeros(64) } }),
    ],
    [
      'snapshot type metadata invalid: invalid root checksum information, sha256 checksum invalid',
      (signed) => (meta(signed)['root'] = { hashes: { sha256: zeros(31) } }),
    ],
    [
      'snapshot type metadata invalid: invalid targets checksum information, sha512 checksum invalid',
      (signed) => (meta(signed)['targets'] = { hashes: { sha256: zeros(32), sha512: zeros(32) } }),
    ],
    [
      'snapshot expired at Sun May 31 12:00:00 UTC 2026',
      (signed) => (signed['expires'] = dayBefore),
    ],
    [
      `sha256 checksum for root did not match: expected ${sha256OfZeros}`,
      (signed) => (meta(signed)['root'] = { hashes: { sha256: zeros(32) } }),
    ],
    [
      `sha256 checksum for targets did not match: expected ${sha256OfZeros}`,
      (signed) => (meta(signed)['targets'] = { hashes: { sha256: zeros(32) } }),
    ],
  ])('%s', (message, change) => {
    expect(() => publish(change)).toThrow(refusal('BAD_SNAPSHOT', message));
  });

  test('a wrong sha512', () => {
    const message = `sha512 checksum for root did not match: expected ${'00'.repeat(64)}`;

    expect(() => publish((signed) => (rootHashes(signed)['sha512'] = zeros(64)))).toThrow(
      refusal('BAD_SNAPSHOT', message),
    );
  });

  test('a role in play that it does not list', () => {
    repository.publish(owner.root(), owner.targets(), owner.snapshot());
    owner.delegate('targets/a');
    const parts = [owner.targets(), owner.delegation('targets/a')];
    const snapshot = owner.snapshot({ change: (signed) => delete meta(signed)['targets/a'] });
    const message = 'no checksums for supported algorithms were provided for targets/a';

    expect(() => repository.verify(...parts, snapshot)).toThrow(refusal('BAD_SNAPSHOT', message));
  });

  test('stored ancestors are in play', () => {
    repository.publish(owner.root(), owner.targets(), owner.snapshot());
    owner.delegate('targets/a');
    repository.publish(owner.targets(), owner.snapshot());
    const delegation = owner.delegation('targets/a');
    const snapshot = owner.snapshot({
      change: (signed) => void (meta(signed)['targets'] = { hashes: { sha256: zeros(32) } }),
    });
    const message = `sha256 checksum for targets did not match: expected ${sha256OfZeros}`;

    expect(() => repository.verify(delegation, snapshot)).toThrow(refusal('BAD_SNAPSHOT', message));
  });

  test.each<[string, (signed: Signed) => void]>([
    ['other roles', (signed) => (meta(signed)['targets/gone'] = { hashes: {} })],
    ['no sha512', (signed) => delete rootHashes(signed)['sha512']],
    ['unknown algorithms', (signed) => (rootHashes(signed)['md5'] = zeros(16))],
    ['another length', (signed) => void Object.assign(meta(signed)['root'] ?? {}, { length: 1 })],
  ])('%s: accepted', (_, change) => {
    const { request, metafiles } = publish(change);

    expect(metafiles.map(({ role }) => role)).toEqual(['root', 'targets', 'snapshot']);
    expect(request.snapshot).toBeUndefined();
    expect(request.timestamp.snapshot).toBe(metafiles[2]);
  });

  test('stored targets that are not in play are not compared', () => {
    repository.publish(owner.root(), owner.targets(), owner.snapshot());
    const root = owner.root();
    const snapshot = owner.snapshot({
      change: (signed) => void (meta(signed)['targets'] = { hashes: { sha256: zeros(32) } }),
    });

    repository.publish(root, snapshot);
    expect(repository.versions()).toMatchObject({ root: 2, targets: 1, snapshot: 2 });
  });

  test('a first publish without targets is accepted', () => {
    const root = owner.root();
    const snapshot = owner.snapshot({
      change: (signed) => void (meta(signed)['targets'] = { hashes: { sha256: zeros(32) } }),
    });

    repository.publish(root, snapshot);
    expect(repository.versions()).toEqual({ root: 1, snapshot: 1, timestamp: 1 });
  });

  test('is checked, too, where the server holds the snapshot key', () => {
    const handed = ownerOf(repository, { snapshot: true });
    const parts = [handed.root(), handed.targets(), handed.snapshot()];
    const message = 'valid signatures did not meet threshold for snapshot';

    expect(() => repository.verify(...parts)).toThrow(refusal('BAD_SNAPSHOT', message));
  });
});
