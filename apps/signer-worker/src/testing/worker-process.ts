import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** A worker as it runs in production: a process of its own. */
export interface WorkerProcess {
  readonly pid: number;
  /** Its log, line by line, so far. */
  readonly log: readonly string[];
  /** Resolves when the log has a line with that text. */
  said(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Exit status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

export function startWorker(
  environment: Readonly<Record<string, string>>,
  ...words: readonly string[]
): WorkerProcess {
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...words], {
    env: { PATH: process.env['PATH'], NOTARY_SIGNER_LOGGING_LEVEL: 'info', ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (child.stderr === null || child.pid === undefined) throw new Error('a process without a log');
  const log: string[] = [];
  const lines = createInterface(child.stderr);
  lines.on('line', (line) => log.push(line));
  return {
    pid: child.pid,
    log,
    said: async (text) => {
      while (!log.some((line) => line.includes(text))) await once(lines, 'line');
    },
    signal: (name) => child.kill(name),
    ended: once(child, 'close').then(([status, signal]: (number | NodeJS.Signals | null)[]) =>
      status === null || status === undefined ? (signal ?? null) : status,
    ),
  };
}
