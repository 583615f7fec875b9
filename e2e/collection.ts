import { randomBytes } from 'node:crypto';
import { parseGun, type DelegationName, type Gun, type RoleName } from '@scrivener/tuf';
import { createPublisher, writeMetafile, type Publisher } from '@scrivener/tuf/testing';
import { getFile, getKey, postUpdate, type Answer } from './tuf-http.ts';

/** A collection that several clients publish to, each with the keys of the role it writes. */
export interface Collection {
  readonly gun: Gun;
  readonly owner: Publisher;
}

type TargetsRole = 'targets' | DelegationName;

/** Publishes the first version of a collection; the server holds its snapshot key. */
export async function createCollection(
  url: string,
  delegations: readonly DelegationName[] = [],
): Promise<Collection> {
  const gun = parseGun(`example.com/${randomBytes(6).toString('hex')}`);
  if (gun === undefined) throw new RangeError('not a GUN');
  const owner = createPublisher(gun, {
    serverKeys: {
      timestamp: await getKey(url, gun, 'timestamp'),
      snapshot: await getKey(url, gun, 'snapshot'),
    },
  });
  for (const role of delegations) owner.delegate(role);
  const parts = [
    owner.root(),
    owner.targets(),
    ...delegations.map((role) => owner.delegation(role)),
  ];
  const { status, body } = await postUpdate(url, gun, parts);
  if (status !== 200) throw new Error(`first publish: ${status} ${body.toString()}`);
  return { gun, owner };
}

/** A signed part as plain JSON. */
export interface SignedTargets {
  readonly version: number;
  readonly targets: Readonly<Record<string, unknown>>;
}

export async function readSigned(
  url: string,
  gun: Gun,
  file: string,
): Promise<SignedTargets & Readonly<Record<string, unknown>>> {
  const { status, body } = await getFile(url, gun, file);
  if (status !== 200) throw new Error(`GET ${file}: ${status} ${body.toString()}`);
  const { signed } = JSON.parse(body.toString()) as { signed: SignedTargets };
  return { ...signed };
}

/** Reads the role, adds one target to it as the next version, and publishes that. */
export async function addTarget(
  url: string,
  { gun, owner }: Collection,
  role: TargetsRole,
  target: string,
): Promise<Answer & { readonly version: number }> {
  const signed = await readSigned(url, gun, `${role}.json`);
  const next = {
    ...signed,
    version: signed.version + 1,
    targets: { ...signed.targets, [target]: { hashes: { sha256: DIGEST }, length: 1 } },
  };
  const bytes = writeMetafile(next, owner.keysOf(role));
  return { ...(await postUpdate(url, gun, [{ role, bytes }])), version: next.version };
}

const DIGEST = Buffer.alloc(32).toString('base64');

/** Every version of a role from 1 on, until one is not there. */
export async function allVersions(url: string, gun: Gun, role: RoleName): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (;;) {
    const { status, body } = await getFile(url, gun, `${found.length + 1}.${role}.json`);
    if (status === 404) return found;
    if (status !== 200) throw new Error(`${found.length + 1}.${role}: ${status}`);
    found.push(body);
  }
}
