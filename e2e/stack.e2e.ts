// `npm start` as somebody at a terminal sees it.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun } from '@scrivener/tuf';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort, hasCode } from '../scripts/processes.ts';
import { getFile } from './tuf-http.ts';
import { ROOT } from '../scripts/places.ts';

/** A start on a busy machine may take longer than it ever should on a quiet one. */
const LIMIT = 120_000;

interface Stack {
  /** What it printed on both streams. */
  output(): string;
  errors(): string;
  /** Resolves when the text has been printed; throws when the stack ends before that. */
  prints(text: string): Promise<void>;
  /** A signal to every process of the terminal, as Ctrl-C sends it. */
  interrupt(): void;
  readonly exit: Promise<number | null>;
  readonly process: ChildProcess;
}

const stacks: Stack[] = [];
let data: string;
let port: number;

beforeAll(async () => {
  data = newFolder();
  port = await freePort();
  return () => rmSync(data, { recursive: true, force: true });
});

afterEach(async () => {
  for (const stack of stacks.splice(0)) {
    stack.interrupt();
    await stack.exit;
  }
}, LIMIT);

/** As root, PostgreSQL runs as somebody else, who has to get at its data. */
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'stack-'));
  chmodSync(folder, 0o755);
  return folder;
}

function npmStart(folder = data, onPort = port, more: NodeJS.ProcessEnv = {}): Stack {
  const { DATABASE_URL: _, REDIS_URL: __, ...environment } = process.env;
  const child = spawn('npm', ['start', '--silent'], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, SCRIVENER_DATA: folder, SCRIVENER_PORT: String(onPort), ...more },
  });
  let output = '';
  let errors = '';
  let ended = false;
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    errors += chunk.toString();
  });
  const stack = {
    process: child,
    output: () => output,
    errors: () => errors,
    exit: once(child, 'close').then(([code]) => {
      ended = true;
      return code as number | null;
    }),
    interrupt: () => signalGroup(child, 'SIGINT'),
    async prints(text: string) {
      while (!output.includes(text)) {
        if (ended) throw new Error(`ended without saying "${text}":\n${output}`);
        await sleep(50);
      }
    },
  };
  stacks.push(stack);
  return stack;
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

/** Command lines of the processes that have to do with a folder, be it only in their environment. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) =>
      [read(pid, 'cmdline'), read(pid, 'environ'), workingFolder(pid)].some((text) =>
        text.includes(folder),
      ),
    )
    .map((pid) => `${pid} ${read(pid, 'cmdline').replaceAll('\0', ' ')}`);
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function workingFolder(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

/** The pids of an app of the stack: the program itself, not the shell that keeps it running. */
function pidsOf(app: string): number[] {
  return processesOf(data)
    .filter((line) => / node .*src\/main\.ts/.test(line) && !line.includes('keep-running'))
    .map((line) => Number(line.split(' ')[0]))
    .filter((pid) => workingFolder(String(pid)).endsWith(app));
}

/** The commands that `npm start` proposes, with what somebody would type when asked. */
function runProposed(stack: Stack, verb: string): string {
  const command = stack.output().match(new RegExp(`^ +(\\S*notary .* ${verb} .*)$`, 'm'))?.[1];
  if (command === undefined) throw new Error(`no command with ${verb} in:\n${stack.output()}`);
  const passphrases = ['ROOT', 'TARGETS', 'SNAPSHOT'].map((role) => `NOTARY_${role}_PASSPHRASE`);
  const typed = Object.fromEntries(passphrases.map((name) => [name, 'a test passphrase']));
  return execFileSync('sh', ['-c', command], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...typed },
  });
}

describe('npm start', () => {
  test(
    'becomes healthy, proposes commands that work, and leaves no process behind after Ctrl-C',
    async () => {
      const stack = npmStart();
      await stack.prints('Ctrl-C stops everything');
      expect(stack.output()).toContain(`https://localhost:${port}`);
      runProposed(stack, 'init -p');
      runProposed(stack, 'add -p');
      expect(runProposed(stack, 'list')).toMatch(/^v1\s/m);

      stack.interrupt();

      expect(await stack.exit).toBe(0);
      expect(stack.errors()).toBe('');
      expect(processesOf(data)).toEqual([]);
    },
    LIMIT,
  );

  test(
    'keeps its data, and starts an app again that was killed',
    async () => {
      const stack = npmStart();
      await stack.prints('Ctrl-C stops everything');
      expect(await storedTimestamp()).toBe(200);

      for (const app of ['api', 'signer-worker', 'projector']) {
        const [pid] = pidsOf(app);
        if (pid === undefined) throw new Error(`${app} does not run`);
        process.kill(pid, 'SIGKILL');
        await stack.prints(`${app} ended (signal 9), starting it again`);
      }
      await expect
        .poll(() => publishAgain(stack), { timeout: 30_000, interval: 200 })
        .toContain('Successfully published changes');
    },
    LIMIT,
  );

  test(
    'says in one line that a stack runs already, or that its port is taken, and harms nobody',
    async () => {
      const first = npmStart();
      await first.prints('Ctrl-C stops everything');
      const elsewhere = newFolder();

      const sameData = npmStart(data, await freePort());
      const samePort = npmStart(elsewhere, port);

      expect(await sameData.exit).toBe(1);
      expect(sameData.output()).toMatch(
        /^npm start: a stack runs on .* already: stop it first.*\n$/,
      );
      expect(await samePort.exit).toBe(1);
      expect(samePort.output()).toMatch(new RegExp(`^npm start: port ${port} is taken .*\\n$`));
      expect(processesOf(elsewhere)).toEqual([]);
      expect(await storedTimestamp()).toBe(200);
      rmSync(elsewhere, { recursive: true });
    },
    LIMIT,
  );

  test(
    'cleans up after a start that was killed',
    async () => {
      const killed = npmStart();
      await killed.prints('Ctrl-C stops everything');
      signalGroup(killed.process, 'SIGKILL');
      await killed.exit;
      const leftBehind = processesOf(data);
      expect(leftBehind.length).toBeGreaterThan(4);

      const next = npmStart();
      await next.prints('Ctrl-C stops everything');

      expect(processesOf(data).filter((line) => leftBehind.includes(line))).toEqual([]);
      expect(await storedTimestamp()).toBe(200);
    },
    LIMIT,
  );

  test(
    'stops while it starts, and says what is wrong when an app refuses its configuration',
    async () => {
      const interrupted = npmStart();
      await interrupted.prints('projector …');
      interrupted.interrupt();
      expect(await interrupted.exit).toBe(0);
      expect(processesOf(data)).toEqual([]);

      const refused = npmStart(data, port, { NOTARY_SIGNER_STORAGE_BACKEND: 'mysql' });
      expect(await refused.exit).toBe(1);
      expect(refused.errors()).toMatch(
        /^npm start: signer-worker did not start: mysql is not an allowed backend.*\n$/,
      );
      expect(processesOf(data)).toEqual([]);
    },
    LIMIT,
  );

  test('says that a port is taken by a program that is no stack', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP port');

    const stack = npmStart(data, address.port);

    expect(await stack.exit).toBe(1);
    expect(stack.output()).toMatch(/^npm start: port \d+ is taken .*\n$/);
    server.close();
  });
});

/** Needs API and workers; the client's cache is no help here, as it is when reading. */
function publishAgain(stack: Stack): string {
  try {
    return runProposed(stack, 'add -p');
  } catch (error) {
    return String(error);
  }
}

async function storedTimestamp(): Promise<number> {
  const gun = parseGun('example.com/hello');
  if (gun === undefined) throw new Error('no GUN');
  const { status } = await getFile(`https://localhost:${port}`, gun, 'timestamp.json');
  return status;
}
