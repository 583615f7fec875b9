import type { NewMetafile } from '@scrivener/events';
import { verifyUpdate, type Metafile, type SigningRequest, type Update } from '@scrivener/tuf';
import { madeBy } from '../sign.ts';

/**
 * A file of more bytes is read and verified by a thread of its own: some 1,500 targets, which take ten
 * milliseconds or two.
 */
export const LARGE = 128 * 1024;

/** An update that passed every check, with what the log keeps about its files. */
export interface Verified {
  readonly files: readonly NewMetafile[];
  readonly request: SigningRequest;
  /** What the signatures must verify against: uploaded or stored. */
  readonly root: Metafile;
}

/** As `verifyUpdate`. Throws `TufError`. */
export function verify(update: Update): Verified {
  const { metafiles, request, root } = verifyUpdate(update);
  return { files: madeBy(update.gun, 'client', metafiles), request, root };
}
