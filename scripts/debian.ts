import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from './places.ts';
import { findOnPath, hasCode } from './processes.ts';
import { SetUpError } from './set-up-error.ts';

const DOWNLOAD_FAILED = "Debian's packages cannot be downloaded (check the network)";
const TOOLS = ['apt-get', 'apt-cache', 'dpkg'];

interface Unpacking {
  /** Of the folder below `.cache`. */
  readonly name: string;
  readonly packages: readonly string[];
  /** A package whose shared libraries are wanted as well, for a small machine may lack them. */
  readonly librariesOf?: string;
  /** Called before anything is downloaded. */
  readonly onFetch?: () => void;
}

/**
 * Unpacks Debian packages into `.cache/<name>` unless that is there, and returns the folder. It needs
 * no root and touches nothing that is installed: apt keeps its state in a temporary folder of ours.
 */
export async function unpackDebianPackages(what: Unpacking): Promise<string> {
  const { name, packages, librariesOf, onFetch } = what;
  const target = join(CACHE, name);
  if (existsSync(target)) return target;
  const missing = TOOLS.find((tool) => findOnPath(tool) === undefined);
  if (missing !== undefined) throw new SetUpError(`there is no ${missing} to fetch it with`);

  onFetch?.();
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, `${name}-`));
  try {
    const apt = privateApt(work);
    await run('apt-get', [...apt, 'update'], work);
    const libraries =
      librariesOf === undefined
        ? []
        : librariesIn(await run('apt-cache', [...apt, 'depends', librariesOf], work));
    await run('apt-get', [...apt, 'download', ...packages, ...libraries], work);
    const unpacked = join(work, 'unpacked');
    for (const archive of readdirSync(work).filter((file) => file.endsWith('.deb'))) {
      await run('dpkg', ['-x', archive, unpacked], work);
    }
    moveInto(target, unpacked);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}

function privateApt(state: string): string[] {
  mkdirSync(join(state, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(state, 'cache', 'archives', 'partial'), { recursive: true });
  const options = [
    `Dir::State=${state}`,
    `Dir::State::lists=${state}/lists`,
    `Dir::Cache=${state}/cache`,
    'Dir::State::status=/var/lib/dpkg/status',
    'APT::Sandbox::User=root', // as root, apt would download as a user who may not enter our folder
    'APT::Cache::ShowRecommends=false',
    'Acquire::Languages=none',
    'Acquire::Retries=3',
  ];
  return ['-qq', ...options.flatMap((option) => ['-o', option])];
}

/** `apt-cache depends` prints a line `  Depends: libssl3` for each; libc6 is on every machine. */
function librariesIn(depends: string): string[] {
  const names = [...depends.matchAll(/^\s*Depends: (lib\S+)/gm)].flatMap((match) => match[1] ?? []);
  return names.filter((name) => name !== 'libc6');
}

function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new SetUpError(DOWNLOAD_FAILED, { cause: `${command}: ${errors.trim()}` }));
    });
  });
}

/** All or nothing: a kill leaves no half of a package behind. Somebody else may have been faster. */
function moveInto(target: string, unpacked: string): void {
  try {
    renameSync(unpacked, target);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'EEXIST')) throw error;
  }
}
