import { join } from 'node:path';
import { unpackDebianPackages } from '../scripts/debian.ts';
import { findOnPath } from '../scripts/processes.ts';
import { SetUpError } from '../scripts/set-up-error.ts';

interface Program {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

interface DebianProgram {
  readonly name: string;
  /** Below `/usr`. */
  readonly folder: 'bin' | 'sbin' | 'lib/postgresql/15/bin';
  /** The first of them names the libraries that are wanted as well. */
  readonly packages: readonly [string, ...string[]];
}

/** The installed one, else Debian's, unpacked below `.cache`. Throws `SetUpError`. */
export async function findDebianProgram(debian: DebianProgram): Promise<Program> {
  const { name, folder, packages } = debian;
  const installed = findOnPath(name) ?? findOnPath(name, `/usr/${folder}`);
  if (installed !== undefined) return { command: installed, env: process.env };
  try {
    const unpacked = await unpackDebianPackages({ name, packages, librariesOf: packages[0] });
    const processor = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
    return {
      command: join(unpacked, 'usr', folder, name),
      env: {
        ...process.env,
        LD_LIBRARY_PATH: join(unpacked, 'usr', 'lib', `${processor}-linux-gnu`),
      },
    };
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    throw new SetUpError(`${name} is not installed, and ${error.message}: install it`, {
      cause: error,
    });
  }
}
