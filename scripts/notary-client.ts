import { join } from 'node:path';
import { unpackDebianPackages } from './debian.ts';
import { findOnPath } from './processes.ts';
import { SetUpError } from './set-up-error.ts';

/**
 * The path of the stock Notary client: the installed one, else the copy in `.cache/notary`, which is
 * fetched from Debian when it is not there. Throws `SetUpError`.
 */
export async function findNotaryClient(): Promise<string> {
  const installed = findOnPath('notary');
  if (installed !== undefined) return installed;
  try {
    const unpacked = await unpackDebianPackages({ name: 'notary', packages: ['notary'] });
    return join(unpacked, 'usr', 'bin', 'notary');
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    throw new SetUpError(`no notary client is installed, and ${error.message}: install one`, {
      cause: error,
    });
  }
}
