import { generateKeyPairSync, sign } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { keyId } from './key.ts';
import { certificatePem } from './pem.ts';
import { type OwnKey } from './testing/keys.ts';
import { type Publisher, type Part } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { gun, now, ownerOf, rewritten, withoutSignatures } from './testing/scenario.ts';
import { writeCertificate } from './testing/x509.ts';

const refusal = (code: string, message: string, more: object = {}) =>
  expect.objectContaining({ name: 'TufError', code, message, ...more });

let repository: Repository;
let owner: Publisher;

beforeEach(() => {
  repository = new Repository(gun, now);
  owner = ownerOf(repository, { snapshot: true });
});

/** A key in a certificate of Bob's that has long expired. */
function rsaKey(fields: { bits?: number; hash?: string; hours?: number }): OwnKey {
  const { bits = 2048, hash = 'sha256', hours = 1 } = fields;
  const pair = generateKeyPairSync('rsa', { modulusLength: bits });
  const pem = certificatePem(
    writeCertificate({
      commonNames: ['bob'],
      notBefore: new Date('2010-01-01T00:00:00Z'),
      notAfter: new Date(Date.parse('2010-01-01T00:00:00Z') + hours * 3_600_000),
      subjectPublicKeyInfo: pair.publicKey.export({ type: 'spki', format: 'der' }),
      signatureAlgorithm: hash === 'sha1' ? 'rsaWithSha1' : 'rsaWithSha256',
      sign: (toBeSigned) => sign(hash, toBeSigned, pair.privateKey),
    }),
  );
  const publicKey = { keytype: 'rsa-x509', public: Buffer.from(pem).toString('base64') };
  const keyid = keyId(publicKey);
  return {
    publicKey,
    keyid,
    sign: (payload) => ({
      keyid,
      method: 'RSAPSS',
      sig: sign('sha256', payload, { key: pair.privateKey, padding: 6, saltLength: 32 }).toString(
        'base64',
      ),
    }),
  };
}

describe('delegations (WIRE §6.4)', () => {
  beforeEach(() => {
    repository.publish(owner.root(), owner.targets());
    owner.delegate('targets/a');
    repository.publish(owner.targets());
  });

  test('targets must be loaded first', () => {
    const fresh = new Repository(gun, now);
    const parts = [
      owner.root({ change: (signed) => void (signed['version'] = 1) }),
      owner.delegation('targets/a'),
    ];

    expect(() => fresh.verify(...parts)).toThrow(
      refusal('BAD_TARGETS', 'targets must be loaded first'),
    );
  });

  test.each(['targets/x', 'targets/a/b', 'targets/x/y'] as const)(
    '%s: delegation does not exist',
    (role) => {
      const part = { role, bytes: owner.delegation('targets/a').bytes };
      const message = `tuf: invalid role ${role}. delegation does not exist`;

      expect(() => repository.verify(part)).toThrow(refusal('BAD_TARGETS', message));
    },
  );

  test('a delegation that its parent no longer names does not exist, though its parent is stored', () => {
    repository.publish(owner.delegation('targets/a'));
    owner.undelegate('targets/a');
    const message = 'tuf: invalid role targets/a. delegation does not exist';
    owner.delegate('targets/a/b');
    const grandchild = owner.delegation('targets/a/b');
    const targets = owner.targets();

    expect(() => repository.verify(targets, grandchild)).toThrow(
      expect.objectContaining({ code: 'UNTRUSTED_STATE', message }),
    );
    repository.publish(targets);
    expect(() => repository.verify({ ...grandchild, role: 'targets/a' })).toThrow(
      refusal('BAD_TARGETS', message),
    );
  });

  test.each([
    ['certificate with CN bob uses invalid SHA1 signature algorithm', { hash: 'sha1' }],
    ['RSA bit length is too short', { bits: 1024 }],
    ['certificate validity window is invalid', { hours: -1 }],
  ])('%s', (message, fields) => {
    owner.delegate('targets/a', { keys: [rsaKey(fields)] });
    const parts = [owner.targets(), owner.delegation('targets/a')];

    expect(() => repository.verify(...parts)).toThrow(refusal('BAD_TARGETS', message));
  });

  test('a certificate may have expired and have any name', () => {
    owner.delegate('targets/a', { keys: [rsaKey({})] });

    repository.publish(owner.targets(), owner.delegation('targets/a'));
    expect(repository.versions()).toMatchObject({ 'targets/a': 1 });
  });

  test('structure comes before signatures', () => {
    const part = owner.delegation(
      'targets/a',
      {},
      {
        change: (signed) => (signed['_type'] = 'Delegation'),
        signers: [owner.newKey()],
      },
    );
    const message = 'targets/a type metadata invalid: expected type Targets, not Delegation';

    expect(() => repository.verify(part)).toThrow(refusal('BAD_TARGETS', message));
  });

  test.each<[string, (part: Part) => Part]>([
    ['tuf: data has no signatures', withoutSignatures],
    [
      'targets/a type metadata invalid: targets/a file contained an empty payload',
      () => ({ role: 'targets/a', bytes: new TextEncoder().encode('{}') }),
    ],
    [
      'json: unsupported value: 1.5',
      (part) => rewritten(part, (text) => text.replace('{"signed":{', '{"signed":{"x":1.5,')),
    ],
    [
      'valid signatures did not meet threshold for targets/a',
      (part) => rewritten(part, (text) => text.replace('{"signed":{', '{"signed":{"x":1,')),
    ],
    [
      "invalid character '\\x00' after top-level value",
      (part) => rewritten(part, (text) => `${text}\0`),
    ],
  ])('%s', (message, change) => {
    expect(() => repository.verify(change(owner.delegation('targets/a')))).toThrow(
      refusal('BAD_TARGETS', message),
    );
  });

  test('an expired delegation', () => {
    const part = owner.delegation('targets/a', {}, { expires: '2020-01-01T00:00:00Z' });
    const message = 'targets/a expired at Wed Jan 1 00:00:00 UTC 2020';

    expect(() => repository.verify(part)).toThrow(refusal('BAD_TARGETS', message));
  });

  test('a delegation may not delegate but to its own children', () => {
    const roles = [{ name: 'targets/b', keyids: [], threshold: 1 }];
    const part = owner.delegation(
      'targets/a',
      {},
      { change: (signed) => (signed['delegations'] = { keys: {}, roles }) },
    );
    const message = 'targets/a type metadata invalid: delegation role targets/b invalid';

    expect(() => repository.verify(part)).toThrow(refusal('BAD_TARGETS', message));
  });

  test('paths are not enforced', () => {
    owner.delegate('targets/a', { paths: ['only/'] });

    repository.publish(owner.targets(), owner.delegation('targets/a', { elsewhere: 'x' }));
    expect(repository.versions()).toMatchObject({ 'targets/a': 1 });
  });

  test('a chain of delegations, children uploaded without their parents', () => {
    owner.delegate('targets/a/b');
    owner.delegate('targets/a/b/c');
    repository.publish(owner.delegation('targets/a'));
    repository.publish(owner.delegation('targets/a/b'));
    repository.publish(owner.delegation('targets/a/b/c'));

    expect(repository.versions()).toMatchObject({ 'targets/a/b/c': 1, targets: 2, snapshot: 5 });
  });
});
