import {
  publishUpdate,
  type Cause,
  type MetafileRef,
  type RecordedEvent,
  type Repository,
} from '@scrivener/events';
import { SigningError, type Signer } from '@scrivener/signing';
import {
  rolesInPlay,
  rolesRead,
  TufError,
  type Guard,
  type Gun,
  type Metafile,
  type RoleName,
} from '@scrivener/tuf';
import type { Repositories } from './repositories.ts';
import { madeBy, signServerFiles } from './sign.ts';
import type { Pace } from './pacing.ts';
import type { Verification } from './verification/verification.ts';
import type { Verified } from './verification/verify.ts';
import type { Decide, Writer } from './writer.ts';

/** The files of an update in the order of the form. */
export interface PublishCommand {
  readonly gun: Gun;
  readonly upload: readonly Metafile[];
  readonly cause: Cause;
}

interface Dependencies {
  readonly repositories: Repositories;
  readonly verification: Pick<Verification, 'verify'>;
  readonly signer: Pick<Signer, 'sign'>;
  readonly writer: Writer;
  readonly pace: Pick<Pace, 'begun'>;
  /** Notary's own rules only where it is absent. */
  readonly guard: Guard | undefined;
  readonly now: () => Date;
}

/**
 * Makes an update current, together with the snapshot and timestamp that are signed for it: one
 * event; gives that timestamp. Signing comes first and the append last, so that whatever fails
 * before leaves nothing.
 *
 * An update whose every file is current already, byte for byte, adds nothing and gives the timestamp
 * that is there: a client whose answer got lost may ask again. Throws `TufError` where the rules refuse the update, `SigningError` and `Unavailable`.
 */
export function createPublish({
  repositories,
  verification,
  signer,
  writer,
  pace,
  guard,
  now,
}: Dependencies): (command: PublishCommand) => Promise<MetafileRef> {
  return async ({ gun, upload, cause }) => {
    let there: MetafileRef | undefined;
    let over: (() => void) | undefined;
    const decide: Decide = async (repository, raced) => {
      there = isCurrent(repository, upload) ? repository.current.get('timestamp') : undefined;
      if (there !== undefined) return undefined;
      if (raced && isOvertaken(repository, upload))
        throw new TufError('OLD_VERSION', 'another update was faster');
      over ??= pace.begun(gun);
      const at = now();
      const roles = upload.map(({ role }) => role);
      const current = await repositories.metafiles(repository, rolesRead(roles));

      const verified = await verification.verify({
        gun,
        versions: versionsOf(repository, rolesInPlay(roles)),
        current,
        upload,
        serverKeys: new Set(repository.keys.keys()),
        now: at,
        guard,
      });
      const signed = await sign(signer, verified);
      const metafiles = [...verified.files, ...madeBy(gun, 'server', signed)];

      return {
        event: publishUpdate(repository, { metafiles, at: at.toISOString(), cause }),
        metafiles,
      };
    };

    try {
      const recorded = await writer.write(gun, decide);
      return there ?? timestampOf(recorded);
    } finally {
      over?.();
    }
  };
}

function timestampOf(recorded: RecordedEvent | undefined): MetafileRef {
  const metafiles = recorded?.event.type === 'UpdatePublished' ? recorded.event.data.metafiles : [];
  const timestamp = metafiles.find(({ role }) => role === 'timestamp');
  if (timestamp === undefined) throw new Error('a publish without a timestamp');
  return timestamp;
}

/** Of those roles that there are: a repository may have many more. */
function versionsOf(
  { current }: Repository,
  roles: readonly RoleName[],
): ReadonlyMap<RoleName, bigint> {
  const refs = roles.map((role) => current.get(role)).filter((ref) => ref !== undefined);
  return new Map(refs.map(({ role, version }) => [role, version]));
}

/**
 * Whether every file that counts is current already, to the byte. Not so of an update without files,
 * which asks for the next snapshot and timestamp (WIRE §6.1); nor of one that has been overtaken.
 */
function isCurrent({ current }: Repository, upload: readonly Metafile[]): boolean {
  const counting = new Map(upload.map(({ role, sha256 }) => [role, sha256]));
  counting.delete('timestamp');
  const files = [...counting];
  return files.length > 0 && files.every(([role, sha256]) => current.get(role)?.sha256 === sha256);
}

/**
 * Another writer may have been faster. If it published one of our roles, we lost, and the answer is
 * `VERSION` whatever else no longer fits, at once: of many who race, all but one cost no verification.
 * If it did not, the update is decided on top of the other's.
 */
function isOvertaken({ current }: Repository, upload: readonly Metafile[]): boolean {
  return upload.some(({ role, version }) => {
    const ref = current.get(role);
    return role !== 'timestamp' && ref !== undefined && ref.version >= version;
  });
}

/**
 * The log says that the server holds these keys. Where the signer has lost one all the same, the
 * client gets the answer that Notary gives for a key it never had (WIRE §16).
 */
async function sign(
  signer: Pick<Signer, 'sign'>,
  { request, root }: Verified,
): Promise<readonly Metafile[]> {
  try {
    return await signServerFiles(signer, request, root);
  } catch (error) {
    if (!(error instanceof SigningError) || error.code !== 'UNKNOWN_KEY') throw error;
    throw new TufError('BAD_ROOT', 'no timestamp keys exist on the server', { cause: error });
  }
}
