import type { NewMetafile } from '@scrivener/events';
import { SigningError, type Signer } from '@scrivener/signing';
import {
  assembleServerRoles,
  certificatesExpireAt,
  expiryOf,
  verifyServerRoles,
  type Gun,
  type Metafile,
  type SigningRequest,
} from '@scrivener/tuf';

/**
 * The snapshot (where one was asked for) and the timestamp, signed. What came back is believed only
 * when it verifies against `root`, so that no broken or foreign answer gets into the log.
 * Throws `SigningError`.
 */
export async function signServerFiles(
  signer: Pick<Signer, 'sign'>,
  request: SigningRequest,
  root: Metafile,
): Promise<readonly Metafile[]> {
  const files = assembleServerRoles(request, await signer.sign(request));
  if (!verifyServerRoles(root, files)) {
    throw new SigningError('UNAVAILABLE', 'the signatures that came back do not verify');
  }
  return files;
}

/** With what the log keeps about files besides. */
export function madeBy(
  gun: Gun,
  maker: NewMetafile['madeBy'],
  files: readonly Metafile[],
): NewMetafile[] {
  return files.map((file) => {
    const certificates = file.role === 'root' ? certificatesExpireAt(file, gun) : undefined;
    return {
      ...file,
      expires: expiryOf(file).toISOString(),
      ...(certificates !== undefined && { certificatesExpire: certificates.toISOString() }),
      madeBy: maker,
    };
  });
}
