import { beforeEach, describe, expect, test } from 'vitest';
import type { KeyId } from './key.ts';
import type { ServerRole } from './role.ts';
import { generateServerKey } from './server-key.ts';
import {
  assembleServerRoles,
  checkServerPayload,
  checkSigningRequest,
  signServerRoles,
  snapshotPayload,
  timestampPayload,
  verifyServerRoles,
  type Sign,
  type SigningRequest,
  type SnapshotToSign,
} from './server-roles.ts';
import { Repository } from './testing/repository.ts';
import { gun, now, ownerOf } from './testing/scenario.ts';
import type { VerifiedUpdate } from './verify-update.ts';

let repository: Repository;
/** A publish with a snapshot to sign, and one with a snapshot that the owner signed. */
let both: VerifiedUpdate;
let timestampOnly: VerifiedUpdate;
let sign: Sign;

beforeEach(() => {
  repository = new Repository(gun, now);
  const { timestampKey, snapshotKey } = repository;
  sign = (keyid, payload) =>
    (keyid === timestampKey.keyid ? timestampKey : snapshotKey).sign(payload);
  const owner = ownerOf(repository, { snapshot: true });
  both = repository.verify(owner.root(), owner.targets({ '<a&b>': 'x' }));
  const alone = ownerOf(repository, { snapshot: false });
  timestampOnly = repository.verify(alone.root(), alone.targets(), alone.snapshot());
});

function snapshotOf({ snapshot }: SigningRequest): SnapshotToSign {
  if (snapshot === undefined) throw new Error('the request has a snapshot');
  return snapshot;
}

/** Changes the text of the snapshot that is to be signed. */
const withText = (change: (text: string) => string) => (request: SigningRequest) => {
  const snapshot = snapshotOf(request);
  return { ...request, snapshot: { ...snapshot, signed: change(snapshot.signed) } };
};

describe('a signer refuses', () => {
  test.each<[string, (request: SigningRequest) => SigningRequest]>([
    ['no JSON', withText(() => 'x')],
    ['nothing', withText(() => '')],
    ['another type', withText((text) => text.replace('"Snapshot"', '"Root"'))],
    ['another version', withText((text) => text.replace('"version":1', '"version":2'))],
    [
      'an expiry that is no time',
      withText((text) => text.replace(/"expires":"[^"]*"/, '"expires":"x"')),
    ],
    ['no expiry', withText((text) => text.replace(/"expires":"[^"]*",/, ''))],
    ['white space', withText((text) => text.replace('{', '{ '))],
    ['another order', withText((text) => text.replace(/^\{(.*),("version":1)\}$/, '{$2,$1}'))],
    ['a member too many', withText((text) => text.replace(/\}$/, ',"x":1}'))],
    ['an equal member twice', withText((text) => text.replace(/\}$/, ',"version":1}'))],
    ['text behind it', withText((text) => `${text} `)],
    ['a way out of the signed part', withText((text) => `${text},"x":{}`)],
    ['no root', withText((text) => text.replace('"root":', '"toor":'))],
    [
      'a hash that is too short',
      withText((text) => text.replace(/"sha256":"[^"]{4}/, '"sha256":"')),
    ],
    ['an escape too many', withText((text) => text.replace('root', String.raw`\u0072oot`))],
    [
      'keys that are not named',
      (request) => ({ ...request, snapshot: { ...snapshotOf(request), keyids: [] } }),
    ],
    [
      'a key that is named twice',
      (request) => {
        const { keyids } = request.timestamp;
        return { ...request, timestamp: { ...request.timestamp, keyids: [...keyids, ...keyids] } };
      },
    ],
    [
      'a timestamp that expires never',
      (request) => ({ ...request, timestamp: { ...request.timestamp, expires: 'never' } }),
    ],
    [
      'a timestamp of version 0',
      (request) => ({ ...request, timestamp: { ...request.timestamp, version: 0n } }),
    ],
    [
      'a version beyond an int64',
      (request) => ({ ...request, timestamp: { ...request.timestamp, version: 2n ** 63n } }),
    ],
    ['no snapshot at all', ({ gun, timestamp }) => ({ gun, timestamp })],
    [
      'two snapshots',
      (request) => {
        const { snapshot } = timestampOnly.request.timestamp;
        return { ...request, timestamp: { ...request.timestamp, ...(snapshot && { snapshot }) } };
      },
    ],
    [
      'a signed snapshot that is none',
      ({ gun, timestamp }) => {
        const [root] = both.metafiles;
        return { gun, timestamp: { ...timestamp, ...(root && { snapshot: root }) } };
      },
    ],
  ])('%s', (_, change) => {
    expect(() => {
      checkSigningRequest(change(both.request));
    }).toThrow(expect.objectContaining({ name: 'TufError' }));
  });

  test('nothing that verifyUpdate asks for', () => {
    expect(() => {
      checkSigningRequest(both.request);
      checkSigningRequest(timestampOnly.request);
    }).not.toThrow();
  });
});

const payloads = () => {
  const snapshot = Buffer.from(snapshotPayload(snapshotOf(both.request))).toString();
  const timestamp = Buffer.from(timestampPayload(both.request, [])).toString();
  return { snapshot, timestamp };
};
const check = (role: ServerRole, payload: string | Uint8Array) => () => {
  checkServerPayload(role, Buffer.from(payload));
};

describe('a payload that somebody else composed', () => {
  test('is signed where it is a snapshot or a timestamp in canonical form', () => {
    const { snapshot, timestamp } = payloads();

    expect(check('snapshot', snapshot)).not.toThrow();
    expect(check('timestamp', timestamp)).not.toThrow();
  });

  test('may have a version that no double holds, in the form that is signed', () => {
    const { timestamp } = payloads();
    const version = (value: bigint) => timestamp.replace(/"version":1/, `"version":${value}`);

    expect(check('timestamp', version(2n ** 53n))).not.toThrow();
    expect(check('timestamp', version(2n ** 53n + 1n))).toThrow(
      'not a timestamp in canonical form',
    );
  });

  test.each<[string, ServerRole, (payload: ReturnType<typeof payloads>) => string]>([
    ['the other role', 'snapshot', ({ timestamp }) => timestamp],
    ['the other role', 'timestamp', ({ snapshot }) => snapshot],
    ['nothing', 'timestamp', () => ''],
    ['no JSON', 'snapshot', () => 'attack at dawn'],
    ['white space', 'timestamp', ({ timestamp }) => `${timestamp} `],
    ['a second document', 'timestamp', ({ timestamp }) => timestamp + timestamp],
    ['a way out of the signed part', 'snapshot', ({ snapshot }) => `${snapshot},"x":{}`],
    [
      'another order',
      'timestamp',
      ({ timestamp }) => timestamp.replace(/^\{(.*),("v.*)\}/, '{$2,$1}'),
    ],
    ['a member too many', 'timestamp', ({ timestamp }) => timestamp.replace(/\}$/, ',"x":1}')],
    ['version 0', 'timestamp', ({ timestamp }) => timestamp.replace('"version":1', '"version":0')],
    ['no version', 'snapshot', ({ snapshot }) => snapshot.replace(',"version":1', '')],
    ['no expiry', 'timestamp', ({ timestamp }) => timestamp.replace(/"expires":"[^"]*",/, '')],
    [
      'an expiry of null',
      'timestamp',
      ({ timestamp }) => timestamp.replace(/("expires":)"[^"]*"/, '$1null'),
    ],
    [
      'a role too many',
      'timestamp',
      ({ timestamp }) => timestamp.replace(/"snapshot":(\{.*\})\}/, '"root":$1,"snapshot":$1}'),
    ],
    ['no snapshot', 'timestamp', ({ timestamp }) => timestamp.replace('"snapshot"', '"tophsnas"')],
    ['no sha256', 'timestamp', ({ timestamp }) => timestamp.replace(/"sha256":"[^"]*",/, '')],
    [
      'a short sha512',
      'timestamp',
      ({ timestamp }) => timestamp.replace(/("sha512":")[^"]{4}/, '$1'),
    ],
    ['an unknown hash', 'timestamp', ({ timestamp }) => timestamp.replace('"sha512"', '"sha999"')],
    ['a root', 'snapshot', ({ snapshot }) => snapshot.replace('Snapshot', 'Root')],
  ])('is refused: %s as %s', (_, role, payload) => {
    expect(check(role, payload(payloads()))).toThrow(expect.objectContaining({ name: 'TufError' }));
  });

  test('is refused where it is no UTF-8', () => {
    const { snapshot } = payloads();
    const bytes = Buffer.from(snapshot.replace('root', '?oot'));
    bytes[bytes.indexOf('?')] = 0xff;

    expect(check('snapshot', bytes)).toThrow(expect.objectContaining({ name: 'TufError' }));
  });
});

describe('signing', () => {
  test('asks for one signature per key, in the order asked', () => {
    const asked: KeyId[] = [];
    const { timestampKey, snapshotKey } = repository;
    signServerRoles(both.request, (keyid, payload) => {
      asked.push(keyid);
      return sign(keyid, payload);
    });

    expect(asked).toEqual([snapshotKey.keyid, timestampKey.keyid]);
  });

  test('lists in the timestamp the very snapshot that was signed with it', () => {
    const [first, second] = [0, 1].map(() =>
      assembleServerRoles(both.request, signServerRoles(both.request, sign)),
    );

    // The keys of ecdsa sign in another way each time (ADR 0004), so the two do not mix.
    expect(first?.[0]?.sha256).not.toBe(second?.[0]?.sha256);
    for (const files of [first, second]) {
      const [snapshot, timestamp] = files ?? [];
      const listed = Buffer.from(snapshot?.sha256 ?? '', 'hex').toString('base64');
      expect(Buffer.from(timestamp?.bytes ?? []).toString()).toContain(listed);
      expect(verifyServerRoles(both.root, files ?? [])).toBe(true);
    }
  });

  test('leaves a snapshot alone that is signed already', () => {
    const signatures = signServerRoles(timestampOnly.request, sign);
    const files = assembleServerRoles(timestampOnly.request, signatures);

    expect(signatures.snapshot).toBeUndefined();
    expect(files.map(({ role }) => role)).toEqual(['timestamp']);
    expect(verifyServerRoles(timestampOnly.root, files)).toBe(true);
  });
});

describe('signatures of the server do not pass for good', () => {
  test.each<[string, Sign]>([
    [
      'by another key',
      (keyid, payload) => ({ ...generateServerKey('ed25519').sign(payload), keyid }),
    ],
    [
      'by a key that signs under its own id',
      (_, payload) => generateServerKey('ecdsa').sign(payload),
    ],
    ['over something else', (keyid) => sign(keyid, Buffer.from('{}'))],
    ['that are empty', (keyid, payload) => ({ ...sign(keyid, payload), sig: '' })],
  ])('%s', (_, wrong) => {
    const files = assembleServerRoles(both.request, signServerRoles(both.request, wrong));

    expect(files.map((file) => verifyServerRoles(both.root, [file]))).toEqual([false, false]);
  });

  test('that are missing', () => {
    const files = assembleServerRoles(both.request, { timestamp: [] });

    expect(files.map((file) => verifyServerRoles(both.root, [file]))).toEqual([false, false]);
  });

  test('for a file of the owner', () => {
    expect(verifyServerRoles(both.root, both.metafiles)).toBe(false);
  });

  test('while good ones do', () => {
    const files = assembleServerRoles(both.request, signServerRoles(both.request, sign));

    expect(verifyServerRoles(both.root, files)).toBe(true);
  });
});
