import { canonicalJson } from '../canonical-json.ts';
import { marshalEnvelope } from '../envelope.ts';
import { parseGun, type Gun } from '../gun.ts';
import { readJson } from '../json.ts';
import type { RoleName } from '../role.ts';
import type { OwnKey } from './keys.ts';
import { createPublisher, type Part, type Publisher } from './publisher.ts';
import type { Repository } from './repository.ts';

export const now = new Date('2026-06-01T12:00:00.250Z');
export const dayBefore = '2026-05-31T12:00:00Z';
export const gun = gunOf('docker.io/library/alpine');

export function gunOf(text: string): Gun {
  const gun = parseGun(text);
  if (gun === undefined) throw new Error(`${text} is no GUN`);
  return gun;
}

/** An owner who has handed the snapshot to the server, or not. */
export function ownerOf(
  repository: Repository,
  { snapshot, seed = 'owner' }: { snapshot: boolean; seed?: string },
): Publisher {
  const { gun, timestampKey, snapshotKey } = repository;
  return createPublisher(gun, {
    serverKeys: {
      timestamp: timestampKey.publicKey,
      ...(snapshot && { snapshot: snapshotKey.publicKey }),
    },
    seed,
    now,
  });
}

/** The file with its text changed; what is signed stays as it is. */
export function rewritten(part: Part, change: (text: string) => string): Part {
  return { ...part, bytes: new TextEncoder().encode(change(new TextDecoder().decode(part.bytes))) };
}

export function withoutSignatures(part: Part): Part {
  return rewritten(part, (text) => text.replace(/"signatures":.*$/, '"signatures":[]}'));
}

/** The signed part of a file, as it stands there. */
export function signedPartOf(part: Part): string {
  return new TextDecoder().decode(part.bytes).replace(/^\{"signed":(.*),"signatures".*$/s, '$1');
}

/** Signs JSON that no object can stand for, such as `1e400` or an int64. */
export function signedText(role: RoleName, text: string, signers: readonly OwnKey[]): Part {
  const payload = new TextEncoder().encode(canonicalJson(readJson(text).value));
  const signatures = signers.map((key) => key.sign(payload));
  return { role, bytes: marshalEnvelope(text, signatures) };
}
