import { envelopeOf } from './envelope.ts';
import { Refusal, TufError } from './errors.ts';
import { digest, DIGEST_BYTES, type FileMeta } from './file-meta.ts';
import type { Gun } from './gun.ts';
import type { Metafile, UploadedFile } from './metafile.ts';
import { ancestorsOf, isDelegation, type RoleName } from './role.ts';
import { topLevelSigners, verifyRoot, type Root } from './root.ts';
import { checkSignatures, checkTypeAndVersion, checkWhole } from './signed.ts';
import { readSnapshot, type SnapshotMeta } from './snapshot.ts';
import { verifyDelegation, verifyTargets, type Targets } from './targets.ts';
import { readTimestamp } from './timestamp.ts';

/**
 * What is wrong with something that was published.
 *
 * - `file`: the bytes are no such file, or not of that version
 * - `signature`: not enough of the keys signed that had to: those of its root or of whoever delegated
 *   to it and, for a root, those of the root before it
 * - `link`: it does not list the file that it has to vouch for
 */
export interface Flaw {
  readonly kind: 'file' | 'signature' | 'link';
  readonly role: RoleName;
  readonly reason: string;
}

/** What is trusted of a repository at a moment of its past; grows with its roles only. */
export interface TrustedPast {
  readonly root: Root | undefined;
  readonly targets: ReadonlyMap<RoleName, Targets>;
  /** What the current snapshot lists, and the timestamp lists of it. */
  readonly listed: SnapshotMeta | undefined;
  readonly snapshotListed: FileMeta | undefined;
  /** Current files that a snapshot or a timestamp vouches for: length and digests. */
  readonly files: ReadonlyMap<RoleName, FileFacts>;
}

interface FileFacts {
  readonly length: number;
  readonly digests: ReadonlyMap<string, Uint8Array>;
}

export const NOTHING_TRUSTED: TrustedPast = {
  root: undefined,
  targets: new Map(),
  listed: undefined,
  snapshotListed: undefined,
  files: new Map(),
};

/**
 * Verifies again what became current together: signatures and links, by what was trusted then.
 * Nothing expires here, but for certificates at the moment `at`. What has a flaw is trusted all the
 * same, so that one flaw is told once.
 *
 * A snapshot has to list what was judged with it: the root, and the targets roles published beside it
 * with those above them. That is what the rules of a publish ask for (WIRE §6.5): other roles may have
 * moved on since a client made its snapshot.
 */
export function verifyPublished(
  past: TrustedPast,
  gun: Gun,
  published: readonly Metafile[],
  at: Date,
): { readonly past: TrustedPast; readonly flaws: readonly Flaw[] } {
  const flaws: Flaw[] = [];
  const targets = new Map(past.targets);
  const files = new Map(past.files);
  let { root, listed, snapshotListed } = past;
  const check = (kind: Flaw['kind'], role: RoleName, rule: () => void) => {
    try {
      rule();
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof TufError)) throw error;
      flaws.push({ kind, role, reason: error.message });
    }
  };

  for (const metafile of [...published].sort(inTheOrderOfTrust)) {
    const { role, bytes } = metafile;
    files.set(role, { length: bytes.length, digests: digestsOf(bytes) });
    check('file', role, () => {
      const file = { ...metafile, envelope: envelopeOf(metafile) };
      const { version } = file.envelope;
      if (version !== metafile.version) throw new Refusal(`it is version ${version}`);
      check('signature', role, () => {
        if (role === 'root') root = verifyRoot(file, { gun, previous: root, now: at });
        else if (role === 'snapshot') listed = verifiedSnapshot(file, root);
        else if (role === 'timestamp') snapshotListed = verifiedTimestamp(file, root);
        else if (isDelegation(role)) targets.set(role, verifyDelegation(file, role, targets));
        else targets.set(role, verifyTargets(file, known(root)));
      });
    });
  }

  const roles = published.map(({ role }) => role);
  for (const role of judgedWith(roles)) {
    const file = files.get(role);
    if (file === undefined) continue;
    check('link', 'snapshot', () => checkListed(role, file, listed?.get(role)));
  }
  const snapshot = files.get('snapshot');
  check('link', 'timestamp', () => {
    if (!roles.includes('timestamp')) throw new Refusal('no timestamp was published with it');
    if (snapshot === undefined) throw new Refusal('there is no snapshot');
    checkListed('snapshot', snapshot, snapshotListed);
  });
  return { past: { root, targets, listed, snapshotListed, files }, flaws };
}

const TOP: readonly RoleName[] = ['root', 'targets'];
const BOTTOM: readonly RoleName[] = ['snapshot', 'timestamp'];

/** Root, targets, delegations with parents first, snapshot, timestamp. */
function inTheOrderOfTrust({ role: a }: Metafile, { role: b }: Metafile): number {
  return rank(a) - rank(b) || a.split('/').length - b.split('/').length;
}

function rank(role: RoleName): number {
  if (TOP.includes(role)) return TOP.indexOf(role);
  return BOTTOM.includes(role) ? 3 + BOTTOM.indexOf(role) : 2;
}

/** What the snapshot that is published with these roles has to list; nothing where only it moves on. */
function judgedWith(roles: readonly RoleName[]): ReadonlySet<RoleName> {
  const own = roles.filter((role) => !BOTTOM.includes(role));
  if (own.length === 0 && !roles.includes('snapshot')) return new Set();
  const ancestors = own.flatMap((role) => (isDelegation(role) ? ancestorsOf(role) : []));
  return new Set<RoleName>(['root', ...ancestors, ...own]);
}

function known(root: Root | undefined): Root {
  if (root === undefined) throw new Refusal('there is no root to verify it by');
  return root;
}

function verifiedSnapshot({ envelope }: UploadedFile, root: Root | undefined): SnapshotMeta {
  const file = { role: 'snapshot', envelope };
  checkWhole(envelope);
  checkSignatures(file, topLevelSigners(known(root), 'snapshot'));
  checkTypeAndVersion(file, 'Snapshot');
  return readSnapshot(file);
}

function verifiedTimestamp({ envelope }: UploadedFile, root: Root | undefined): FileMeta {
  const file = { role: 'timestamp', envelope };
  checkWhole(envelope);
  checkSignatures(file, topLevelSigners(known(root), 'timestamp'));
  return readTimestamp(file);
}

function checkListed(role: RoleName, file: FileFacts, entry: FileMeta | undefined): void {
  if (entry === undefined) throw new Refusal(`it does not list ${role}`);
  if (!entry.hashes.has('sha256')) throw new Refusal(`it lists ${role} without a sha256`);
  for (const [algorithm, listed] of entry.hashes) {
    const actual = file.digests.get(algorithm);
    if (actual !== undefined && !Buffer.from(actual).equals(listed)) {
      throw new Refusal(`it lists another ${role}, by its ${algorithm}`);
    }
  }
}

function digestsOf(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  return new Map(
    [...DIGEST_BYTES.keys()].map((algorithm) => [algorithm, digest(algorithm, bytes)]),
  );
}
