import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Publisher, type Part, type Signed } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import {
  dayBefore,
  gun,
  now,
  ownerOf,
  rewritten,
  signedText,
  withoutSignatures,
} from './testing/scenario.ts';

const refusal = (code: string, message: string, more: object = {}) =>
  expect.objectContaining({ name: 'TufError', code, message, ...more });

let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

const delegations = (signed: Signed) => signed['delegations'] as { keys: Signed; roles: Signed[] };
const target = (meta: unknown) => (signed: Signed) => void (signed['targets'] = { x: meta });

describe('targets (WIRE §6.3)', () => {
  beforeEach(() => {
    repository.publish(owner.root(), owner.targets());
    owner.delegate('targets/a');
  });

  test.each<[string, (part: Part) => Part]>([
    ['tuf: data has no signatures', withoutSignatures],
    [
      'targets type metadata invalid: targets file contained an empty payload',
      (part) =>
        rewritten(part, (text) => text.replace(/^.*"signatures"/, '{"signed":null,"signatures"')),
    ],
    [
      'tuf: data has no signatures',
      () => ({ role: 'targets', bytes: new TextEncoder().encode('{"signed":null}') }),
    ],
    [
      'json: unsupported value: 1.5',
      (part) => rewritten(part, (text) => text.replace('{"signed":{', '{"signed":{"x":1.5,')),
    ],
    [
      'json: cannot unmarshal number 1e400 into Go value of type float64',
      (part) => rewritten(part, (text) => text.replace('{"signed":{', '{"signed":{"x":1e400,')),
    ],
    [
      'valid signatures did not meet threshold for targets',
      (part) => rewritten(part, (text) => text.replace('{"signed":{', '{"signed":{"x":1,')),
    ],
    [
      'valid signatures did not meet threshold for targets',
      (part) => rewritten(part, (text) => text.replace(/"keyid":"/, '"keyid":"0')),
    ],
    [
      'valid signatures did not meet threshold for targets',
      (part) => rewritten(part, (text) => text.replace('"method":"ecdsa"', '"method":"eddsa"')),
    ],
    [
      'valid signatures did not meet threshold for targets',
      (part) => rewritten(part, (text) => text.replace(/"sig":"[^"]*"/, '"sig":""')),
    ],
    [
      "invalid character '{' after top-level value",
      (part) => rewritten(part, (text) => `${text}\n{}`),
    ],
  ])('%s', (message, change) => {
    expect(() => repository.verify(change(owner.targets()))).toThrow(
      refusal('BAD_TARGETS', message),
    );
  });

  test.each<[string, (signed: Signed) => void]>([
    [
      'json: cannot unmarshal array into Go value of type data.Files',
      (signed) => (signed['targets'] = []),
    ],
    ['json: cannot unmarshal string into Go value of type data.FileMeta', target('y')],
    ['json: cannot unmarshal string into Go value of type int64', target({ length: '1' })],
    ['json: cannot unmarshal array into Go value of type data.Hashes', target({ hashes: [] })],
    [
      'json: cannot unmarshal number into Go value of type []uint8',
      target({ hashes: { sha256: 1 } }),
    ],
    ['illegal base64 data at input byte 0', target({ hashes: { sha256: '!' } })],
    ['illegal base64 data at input byte 4', target({ hashes: { sha256: 'AAAAA' } })],
    [
      'json: cannot unmarshal bool into Go value of type data.Delegations',
      (signed) => (signed['delegations'] = false),
    ],
    [
      'json: cannot unmarshal object into Go value of type []*data.Role',
      (signed) => (delegations(signed).roles = {} as never),
    ],
    [
      'json: cannot unmarshal string into Go value of type data.Role',
      (signed) => (delegations(signed).roles = ['x'] as never),
    ],
    [
      'json: cannot unmarshal number into Go value of type data.RoleName',
      (signed) => (delegations(signed).roles = [{ name: 1 }]),
    ],
    [
      'json: cannot unmarshal string into Go value of type []string',
      (signed) => (delegations(signed).roles = [{ name: 'targets/a', paths: 'x' }]),
    ],
    [
      'targets type metadata invalid: expected type Targets, not Root',
      (signed) => (signed['_type'] = 'Root'),
    ],
    [
      'targets type metadata invalid: version cannot be less than one',
      (signed) => (signed['version'] = 0),
    ],
    ...[
      'targets/A',
      'targets/a/b',
      'targets/',
      'targets',
      'targets/a.b',
      'root',
      'targets//a',
      '',
    ].map((name): [string, (signed: Signed) => void] => [
      `targets type metadata invalid: delegation role ${name} invalid`,
      (signed) => (delegations(signed).roles = [{ name, keyids: [], threshold: 1 }]),
    ]),
    [
      'targets type metadata invalid: delegation role  invalid',
      (signed) => (delegations(signed).roles = [null as never]),
    ],
    [
      'targets type metadata invalid: invalid threshold specified for targets/a: 0 ',
      (signed) => (delegations(signed).roles = [{ name: 'targets/a', keyids: [] }]),
    ],
    [
      'targets type metadata invalid: key ID x specified in targets/a without corresponding key',
      (signed) =>
        (delegations(signed).roles = [{ name: 'targets/a', keyids: ['x'], threshold: 1 }]),
    ],
    [
      'targets expired at Sun May 31 12:00:00 UTC 2026',
      (signed) => (signed['expires'] = dayBefore),
    ],
  ])('%s', (message, change) => {
    const targets = owner.targets({}, { change });

    expect(() => repository.verify(targets)).toThrow(refusal('BAD_TARGETS', message));
  });

  test.each([
    ['1.5', 'json: unsupported value: 1.5'],
    [
      '10000000000000000000',
      'json: cannot unmarshal number 10000000000000000000 into Go value of type int64',
    ],
  ])('a length of %s', (length, message) => {
    const text = `{"_type":"Targets","expires":"2030-01-01T00:00:00Z","targets":{"x":{"length":${length}}},"version":2}`;
    const part = length.includes('.')
      ? rewritten(owner.targets({ x: 'y' }), (file) => file.replace('"length":1', '"length":1.5'))
      : signedText('targets', text, owner.keysOf('targets'));

    expect(() => repository.verify(part)).toThrow(refusal('BAD_TARGETS', message));
  });

  test('a key that is filed under an id not its own', () => {
    const key = owner.newKey();
    const filed = 'f'.repeat(64);
    const root = owner.root({
      change: (signed) => {
        const { keytype, public: bytes } = key.publicKey;
        (signed['keys'] as Signed)[filed] = { keytype, keyval: { private: null, public: bytes } };
        (signed['roles'] as Signed)['targets'] = { keyids: [filed], threshold: 1 };
      },
    });
    const signer = {
      ...key,
      sign: (payload: Uint8Array) => ({ ...key.sign(payload), keyid: filed as never }),
    };
    const targets = owner.targets({}, { signers: [signer] });

    expect(() => repository.verify(root, targets)).toThrow(
      refusal('BAD_TARGETS', 'key ID is not valid for key content'),
    );
  });

  test('signatures come before structure', () => {
    const signers = [owner.newKey()];
    const targets = owner.targets({}, { change: (signed) => (signed['_type'] = 'x'), signers });
    const message = 'valid signatures did not meet threshold for targets';

    expect(() => repository.verify(targets)).toThrow(refusal('BAD_TARGETS', message));
  });

  test.each<[string, (signed: Signed) => void]>([
    ['unknown members', (signed) => (signed['x'] = { y: [1, 'z'] })],
    [
      'null targets and delegations',
      (signed) => Object.assign(signed, { targets: null, delegations: null }),
    ],
    [
      'no targets and delegations',
      (signed) => {
        delete signed['targets'];
        delete signed['delegations'];
      },
    ],
    ['a target without hashes', target({})],
    ['a target that is null', target(null)],
    ['hashes of odd length', target({ hashes: { sha256: 'QQ==', md5: null }, length: 3 })],
    ['custom data', target({ custom: [{ a: null }], length: 3 })],
    [
      'a delegation without keys and paths, with too high a threshold, twice',
      (signed) => {
        const role = { name: 'targets/b', keyids: [], threshold: 9 };
        delegations(signed).roles = [role, role];
      },
    ],
    ['keys that nobody uses', (signed) => (delegations(signed).keys['x'] = { keytype: 'x' })],
  ])('%s: accepted', (_, change) => {
    const targets = owner.targets({}, { change });

    expect(repository.verify(targets).metafiles.map(({ role }) => role)).toEqual(['targets']);
  });

  test('a control character in the name of a target: accepted', () => {
    const text = String.raw`{"_type":"Targets","expires":"2030-01-01T00:00:00Z","targets":{"a\nb":{}},"version":2}`;

    repository.publish(signedText('targets', text, owner.keysOf('targets')));
    expect(repository.versions()).toMatchObject({ targets: 2 });
  });

  test('white space, member order and escapes do not affect validity; the bytes are kept', () => {
    const indented = rewritten(owner.targets({ 'é<&>': 'x' }), (text) => {
      const { signed, signatures } = JSON.parse(text) as { signed: Signed; signatures: unknown };
      const reversed = Object.fromEntries(Object.entries(signed).toReversed());
      return `${JSON.stringify({ signatures, signed: reversed }, undefined, 2)}\n`;
    });
    const { metafiles, request } = repository.publish(indented);
    const digest = createHash('sha256').update(indented.bytes).digest('base64');

    expect(metafiles[0]?.bytes).toBe(indented.bytes);
    expect(request.snapshot?.signed).toContain(digest);
  });
});
