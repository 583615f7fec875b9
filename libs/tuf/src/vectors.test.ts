// oxlint-disable-next-line no-restricted-imports -- vectors are files
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';
import { firstCertificate, usableRootKeys } from './certificates.ts';
import { envelopeOf, marshalEnvelope, parseMetafile } from './envelope.ts';
import { checkCost, checkFileCount, checkUsable, DEFAULT_GUARD } from './guard.ts';
import { parseGun } from './gun.ts';
import { keyId } from './key.ts';
import type { UploadedFile } from './metafile.ts';
import { isDelegation, parseRoleName, type RoleName } from './role.ts';
import { PlainFiles } from './plain-files.ts';
import { readStoredRoot, topLevelSigners } from './root.ts';
import { checkServerPayload } from './server-roles.ts';
import { checkSignatures } from './signed.ts';
import { verifySnapshot } from './snapshot.ts';
import { verifyDelegation, verifyTargets, type Targets } from './targets.ts';

const folder = new URL('../../../fixtures/vectors/notary/', import.meta.url);
const collections = readdirSync(folder);

/** All metadata of one collection, parents first. */
function read(collection: string): Map<RoleName, UploadedFile> {
  const files = readdirSync(new URL(collection, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => {
      const role = parseRoleName(name.replaceAll('\\', '/').slice(0, -'.json'.length));
      if (role === undefined) throw new Error(`${name} is no metadata`);
      return parseMetafile(role, readFileSync(new URL(`${collection}/${name}`, folder)));
    })
    .sort((a, b) => a.role.split('/').length - b.role.split('/').length);
  return new Map(files.map((file) => [file.role, file]));
}

test('there is real metadata to read', () => {
  expect(collections).not.toEqual([]);
});

test('targets as a real client lists them are not read; names that Go escapes are', () => {
  const [plain, escaped] = ['notary-0.7', 'notary-0.7-names'].map((collection) =>
    read(collection).get('targets')?.envelope.signed?.get('targets'),
  );
  expect(plain).toBeInstanceOf(PlainFiles);
  expect(escaped).toBeInstanceOf(Map);
  expect(escaped).not.toBeInstanceOf(PlainFiles);
});

describe.each(collections)('%s', (collection) => {
  const files = read(collection);
  const rootFile = files.get('root');
  if (rootFile === undefined) throw new Error(`${collection} has no root`);
  const root = readStoredRoot(rootFile);

  test.each([...files.keys()])('%s is written again to the byte', (role) => {
    const file = files.get(role);
    const { signed, signatures } = envelopeOf(file ?? rootFile);
    const written = marshalEnvelope(
      canonicalJson(signed ?? null),
      signatures.map((each) => ({ ...each, sig: Buffer.from(each.sig).toString('base64') })),
    );

    expect(Buffer.from(written).toString()).toBe(Buffer.from(file?.bytes ?? []).toString());
  });

  test.each(['snapshot', 'timestamp'] as const)('%s is what a signer signs', (role) => {
    const { signed } = envelopeOf(files.get(role) ?? rootFile);

    expect(() => {
      checkServerPayload(role, Buffer.from(canonicalJson(signed ?? null)));
    }).not.toThrow();
  });

  test('the guard has nothing against any of it, as a first publish', () => {
    const guard = { ...DEFAULT_GUARD, thresholds: 'all' } as const;
    const uploaded = [...files.values()].filter(({ role }) => role !== 'timestamp');

    expect(() => {
      checkFileCount(uploaded, guard);
      for (const file of uploaded) {
        checkCost(file, guard);
        checkUsable(file, undefined, guard);
      }
    }).not.toThrow();
  });

  test('keys are filed under the ids that we compute', () => {
    for (const [id, key] of root.keys) expect(keyId(key)).toBe(id);
  });

  test('the root is signed by a certificate that names the repository', () => {
    const listed = root.roles.root.keyids.flatMap((id) => root.keys.get(id) ?? []);
    const [pem] = listed.map((key) => Buffer.from(key.public, 'base64'));
    const gun = parseGun(firstCertificate(pem ?? Buffer.of())?.commonName ?? '');
    if (gun === undefined) throw new Error('the root certificate has no name');
    const keys = usableRootKeys(listed, gun);

    expect([...keys.keys()]).toEqual(root.roles.root.keyids);
    expect(() => {
      checkSignatures(
        { role: 'root', envelope: envelopeOf(rootFile) },
        { keys, threshold: root.roles.root.threshold },
      );
    }).not.toThrow();
  });

  test('targets, delegations and snapshot are accepted by the rules', () => {
    const loaded = new Map<RoleName, Targets>();
    const inPlay = [...files.values()].filter(
      ({ role }) => role !== 'snapshot' && role !== 'timestamp',
    );
    for (const file of inPlay) {
      if (file.role === 'targets') loaded.set(file.role, verifyTargets(file, root));
      if (isDelegation(file.role)) {
        loaded.set(file.role, verifyDelegation(file, file.role, loaded));
      }
    }
    const snapshot = files.get('snapshot');
    if (snapshot === undefined) throw new Error(`${collection} has no snapshot`);
    const made = new Date('2016-01-01T00:00:00Z');

    expect(loaded.size).toBe(inPlay.length - 1);
    expect(() => {
      verifySnapshot(snapshot, root, inPlay, made);
    }).not.toThrow();
  });

  test('the timestamp is signed by its role', () => {
    const timestamp = files.get('timestamp');
    if (timestamp === undefined) throw new Error(`${collection} has no timestamp`);

    expect(() => {
      checkSignatures(
        { role: 'timestamp', envelope: envelopeOf(timestamp) },
        topLevelSigners(root, 'timestamp'),
      );
    }).not.toThrow();
  });
});
