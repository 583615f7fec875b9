import { spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetUpError } from './set-up-error.ts';

/** How often a condition of another process is looked at, in milliseconds. */
const POLL = 20;

export interface ServerProcess {
  readonly pid: number;
  /** Settles when the process is gone, with the way it ended: `exit code 1`, `SIGKILL`. */
  readonly ended: Promise<string>;
}

interface ServerProgram {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly log: string;
  readonly options?: SpawnOptions;
  /** Asked again and again until it says yes. */
  readonly isReady: () => Promise<boolean> | boolean;
}

/**
 * Starts a program in a session of its own, so that a terminal's Ctrl-C does not reach it (the
 * processes that use it are to drain first), with its output in the file `log`. Resolves when it is
 * ready; throws `SetUpError` if it ends before that, or is not ready after 60 s.
 */
export async function startServer(program: ServerProgram): Promise<ServerProcess> {
  const log = openSync(program.log, 'w');
  const child = spawn(program.command, program.args, {
    ...program.options,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = once(child, 'exit').then(
    ([code, signal]) => (signal === null ? `exit code ${code}` : String(signal)),
    (error: unknown) => String(error),
  );
  let end: string | undefined;
  void ended.then((how) => (end = how));

  const deadline = Date.now() + 60_000;
  while (!(await program.isReady())) {
    if (end !== undefined) throw failedToStart(program, end);
    if (Date.now() > deadline) {
      if (child.pid !== undefined) await stopProcess(child.pid, 'SIGKILL');
      throw failedToStart(program, 'not ready after 60 s');
    }
    await sleep(POLL);
  }
  if (child.pid === undefined) throw failedToStart(program, await ended);
  return { pid: child.pid, ended };
}

function failedToStart({ name, log }: ServerProgram, how: string): SetUpError {
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  return new SetUpError(`${name} did not start (${how}): ${lines.at(-1)} (all of it in ${log})`);
}

/** Sends `signal` and waits until the process is gone; after `patience` milliseconds kills it. */
export async function stopProcess(
  pid: number,
  signal: NodeJS.Signals,
  patience = 10_000,
): Promise<void> {
  const deadline = Date.now() + patience;
  send(pid, signal);
  while (isAlive(pid)) {
    if (Date.now() > deadline) send(pid, 'SIGKILL');
    await sleep(POLL);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (hasCode(error, 'EPERM')) {
      throw new SetUpError(`process ${pid} belongs to another user: stop it, then try again`, {
        cause: error,
      });
    }
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

/**
 * Does the process run? One that has ended and waits for its parent to notice does not; in a
 * container, orphans can wait like that for ever.
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
  return !isZombie(pid);
}

function isZombie(pid: number): boolean {
  try {
    // "pid (name) state …", and a name may hold anything
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.startsWith('Z') ?? false;
  } catch {
    return false;
  }
}

/**
 * Is `folder` the working directory of the process? Database servers make their data directory
 * that. A pid in a file may be years old and by now belong to something else.
 */
export function worksIn(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    return false;
  }
}

/** The pids of all processes whose working directory is `folder`. */
export function processesIn(folder: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && worksIn(pid, folder));
}

/** The pid on the first line of a file, if there is such a file. */
export function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** The full path of a program on PATH. */
export function findOnPath(program: string, path = process.env['PATH'] ?? ''): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no address of a TCP port');
  return address.port;
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
