import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const SCRIPT = join(import.meta.dirname, 'keep-running.sh');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keep-running-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Keeps a shell script running, in which `$RUN` counts its runs from 1. */
function keep(script: string) {
  const counting = `echo run >>runs; RUN=$(grep -c run runs); ${script}`;
  const child = spawn('sh', [SCRIPT, 'it', 'sh', '-c', counting], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return {
    child,
    output: () => output,
    errors: () => errors,
    exit: once(child, 'close').then(([code]) => code),
  };
}

function runs(): number {
  return readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n').length;
}

describe('keep-running.sh', () => {
  test.each([
    ['SIGKILL', 'kill -9 $$', 'signal 9'],
    ['SIGSEGV', 'kill -11 $$', 'signal 11'],
  ])('starts a server again after %s', async (_, death, how) => {
    const kept = keep(`if [ $RUN = 1 ]; then ${death}; fi; exit 0`);

    expect(await kept.exit).toBe(0);
    expect(kept.errors()).toContain(`keep-running: it ended (${how}), starting it again\n`);
    expect(runs()).toBe(2);
  });

  test('goes on trying when a server that ran once fails at its start', async () => {
    const kept = keep('if [ $RUN = 1 ]; then kill -9 $$; elif [ $RUN = 2 ]; then exit 1; fi');

    expect(await kept.exit).toBe(0);
    expect(runs()).toBe(3);
  });

  test('does not try again what refuses to start', async () => {
    const kept = keep('exit 3');

    expect(await kept.exit).toBe(3);
    expect(kept.errors()).toBe('keep-running: it refuses to start (exit code 3)\n');
    expect(runs()).toBe(1);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'passes %s on and waits for the end',
    async (signal) => {
      const kept = keep(
        'trap "sleep 0.3; echo drained; exit 0" TERM; echo up; while :; do sleep 0.1; done',
      );
      while (!kept.output().includes('up')) await sleep(20);

      kept.child.kill(signal);

      expect(await kept.exit).toBe(0);
      expect(kept.output()).toBe('up\ndrained\n');
      expect(runs()).toBe(1);
    },
  );
});
