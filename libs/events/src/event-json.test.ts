import { assert, bigInt, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deserialise, serialise, type FetchedEvent } from './event-json.ts';
import type { Cause, MetafileRef, RepositoryEvent } from './repository-events.ts';
import { gunOf, keyidOf, metafile } from './testing/facts.ts';

const common = { gun: gunOf('a/b'), at: '2026-11-22T10:28:37.927Z', cause: {} };
const { sha256 } = metafile('root', 1n);
const ref = (version: bigint): MetafileRef => {
  const { at: expires } = common;
  return { role: 'targets/a', version, sha256, length: 0, expires, madeBy: 'client' };
};
const published = (version: bigint): RepositoryEvent => {
  return { ...common, type: 'UpdatePublished', data: { metafiles: [ref(version)] } };
};
const withCertificates = (): RepositoryEvent => {
  const certificatesExpire = '2036-11-20T10:28:37.000Z';
  const root = { role: 'root', version: 1n, sha256, length: 0, expires: common.at } as const;
  const metafiles = [{ ...root, certificatesExpire, madeBy: 'client' } as const];
  return { ...common, type: 'UpdatePublished', data: { metafiles } };
};
const key = { keytype: 'ecdsa', public: 'AA==' };
const fetched = (event: RepositoryEvent): FetchedEvent => {
  const { data, cause, ...rest } = serialise(event);
  return { ...rest, data: JSON.parse(data), cause: JSON.parse(cause) };
};

const everyCause: Required<Cause> = {
  requestId: 'r',
  subject: 'somebody',
  certificate: 'CN=ci, O=Example',
  certificateSha256: sha256,
  remoteAddress: '2001:db8::7',
  traceId: 't',
  spanId: 's',
  operator: 'o',
  reason: 'why',
};

describe('deserialise', () => {
  test.each<RepositoryEvent>([
    published(1n),
    withCertificates(),
    { ...common, type: 'RoleRenewed', data: { metafiles: [] } },
    { ...common, type: 'RepositoryDeleted', data: {}, cause: { traceId: 't', spanId: 's' } },
    { ...common, type: 'RepositoryDeleted', data: {}, cause: everyCause },
    { ...common, type: 'RepositoryRestored', data: { metafiles: [ref(1n)], since: 1, until: 2 } },
    { ...common, type: 'KeyCreated', data: { role: 'snapshot', keyid: keyidOf('a'), key } },
  ])('reads what serialise wrote: $type', (event) => {
    expect(deserialise(fetched(event))).toEqual(event);
  });

  test('reads every int64 and every text as it was', () => {
    assert(
      property(bigInt(-(1n << 63n), (1n << 63n) - 1n), string({ unit: 'binary' }), (n, s) => {
        const event = { ...published(n), cause: { subject: s } };
        expect(deserialise(fetched(event))).toEqual(event);
      }),
    );
  });

  const good = fetched(published(1n));
  const stored = {
    role: 'root',
    version: '1',
    sha256,
    length: 1,
    expires: common.at,
    madeBy: 'server',
  };
  const withRef = (change: object) => ({ data: { metafiles: [{ ...stored, ...change }] } });
  test.each<[string, Partial<FetchedEvent>]>([
    ['a type of a later version', { type: 'RepositoryRenamed' }],
    ['an empty GUN', { gun: '' }],
    ['a time of another form', { at: '2026-11-22 10:28:37' }],
    ['no data', { data: null }],
    ['no files', { data: {} }],
    ['files that are no list', { data: { metafiles: {} } }],
    ['an unknown member', { data: { metafiles: [], more: 1 } }],
    ['a version that is a number', withRef({ version: 1 })],
    ['a version with a leading zero', withRef({ version: '01' })],
    ['a version of minus zero', withRef({ version: '-0' })],
    ['a version beyond int64', withRef({ version: '9223372036854775808' })],
    ['a role that cannot be', withRef({ role: 'targets/A' })],
    ['a role that is too long', withRef({ role: `targets/${'a'.repeat(248)}` })],
    ['an upper-case checksum', withRef({ sha256: sha256.toUpperCase() })],
    ['a negative length', withRef({ length: -1 })],
    ['an expiry of another form', withRef({ expires: '2026-11-22' })],
    ['an expiry of certificates of another form', withRef({ certificatesExpire: '2026-11-22' })],
    ['an unknown maker', withRef({ madeBy: 'nobody' })],
    ['an unknown cause', { cause: { because: 'x' } }],
    ['a cause that is no text', { cause: { subject: 1 } }],
    ['a key of a role without server keys', { type: 'KeyCreated', data: { role: 'root' } }],
    [
      'a restoration of no stretch',
      { type: 'RepositoryRestored', data: { metafiles: [], since: 2, until: 2 } },
    ],
    [
      'a restoration from nowhere',
      { type: 'RepositoryRestored', data: { metafiles: [], since: 0, until: 2 } },
    ],
    ['a deletion of something', { type: 'RepositoryDeleted', data: { metafiles: [] } }],
  ])('refuses %s', (_, change) => {
    expect(() => deserialise({ ...good, ...change })).toThrow(
      expect.objectContaining({ name: 'EventLogError', code: 'UNREADABLE_EVENT' }),
    );
  });
});
