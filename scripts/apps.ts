import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { ROOT } from './places.ts';
import { stopProcess } from './processes.ts';

/** Marks every process of a stack, in the environment it is born with. */
const MARK = 'SCRIVENER_STACK';
/** Longer than an app gives itself to drain, in milliseconds. */
const DRAIN = 20_000;
const NX = {
  args: ['run-many', '--targets=serve,serve-second', '--parallel=8', '--output-style=stream'],
  env: { NX_DAEMON: 'false', NX_NO_CLOUD: 'true', NX_TUI: 'false', NX_SKIP_LOG_GROUPING: 'true' },
};

export interface Apps {
  /** Settles when Nx is gone, and so all apps, with the way that happened. */
  readonly ended: Promise<string>;
  /** Settles with the first app that would not start, and the last line of its log. */
  readonly refused: Promise<Refusal>;
  stop(): Promise<void>;
}

interface Refusal {
  readonly app: string;
  readonly reason: string;
}

export interface AppsOptions {
  /** The stack's folder; the `.env` files in it tell the apps where databases are. */
  readonly data: string;
  readonly log: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Told what the person at the keyboard should know: an app that died and starts again. */
  readonly onNotice: (line: string) => void;
}

/**
 * Starts all apps by one call of Nx: their `serve` targets, and `serve-second` of those of which a
 * stack has two. Nx is in a session of its own, out of reach of the terminal's Ctrl-C.
 */
export function startApps({ data, log, environment, onNotice }: AppsOptions): Apps {
  const nx = spawn('nx', NX.args, {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...NX.env, ...environment, SCRIVENER_DATA: data, [MARK]: data },
  });
  const output = new PassThrough();
  nx.stdout.pipe(output, { end: false });
  nx.stderr.pipe(output, { end: false });
  output.pipe(createWriteStream(log));

  const refusal = Promise.withResolvers<Refusal>();
  const lastLines = new Map<string, string>();
  createInterface({ input: output }).on('line', (line) => {
    // Nx puts the name of the app before each of its lines, in colour where it takes that for wanted.
    const plain = stripVTControlCharacters(line);
    const [, app = '', text = ''] = /^([a-z-]+): (.*)$/.exec(plain) ?? [];
    const [, notice] = /^keep-running: (.*)$/.exec(text) ?? [];
    if (notice === undefined) lastLines.set(app, text);
    else if (notice.startsWith(`${app} refuses to start`)) {
      refusal.resolve({ app, reason: messageOf(lastLines.get(app) ?? notice) });
    } else onNotice(notice);
  });

  const ended = once(nx, 'exit').then(
    ([code, signal]) => String(signal ?? `exit code ${code}`),
    (error: unknown) => String(error),
  );
  return { ended, refused: refusal.promise, stop: () => stopApps(data) };
}

/** The message of a line of a log, on one line. */
function messageOf(line: string): string {
  let message = line;
  try {
    message = (JSON.parse(line) as { msg?: string }).msg ?? line;
  } catch {
    // not everything that a dying program says is JSON
  }
  return message.replaceAll(/\s+/g, ' ');
}

/**
 * Stops every app of the stack on `data`, whoever started it. First the API, which may need the
 * workers for what it has begun; then the others; then Nx, which gives nobody more than 5 s and so
 * is not asked to do it.
 */
export async function stopApps(data: string): Promise<void> {
  const keepers = appProcesses(data).filter(({ keeps }) => keeps !== undefined);
  await stopAll(keepers.filter(({ keeps }) => keeps === 'api'));
  await stopAll(keepers.filter(({ keeps }) => keeps !== 'api'));
  await stopAll(appProcesses(data));
}

async function stopAll(processes: readonly AppProcess[]): Promise<void> {
  await Promise.all(processes.map(({ pid }) => stopProcess(pid, 'SIGTERM', DRAIN)));
}

interface AppProcess {
  readonly pid: number;
  /** The app that this process keeps running, if that is its task. */
  readonly keeps: string | undefined;
}

/** Looks through /proc, because after a kill of Nx nobody else knows its children. */
function appProcesses(data: string): AppProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => words(pid, 'environ').includes(`${MARK}=${data}`))
    .map((pid) => ({ pid: Number(pid), keeps: keptBy(words(pid, 'cmdline')) }));
}

function keptBy(command: readonly string[]): string | undefined {
  return command[1]?.endsWith('keep-running.sh') ? command[2] : undefined;
}

/** The process may be gone by now, or be somebody else's. */
function words(pid: string, file: 'environ' | 'cmdline'): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
