import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const PROGRAM = fileURLToPath(new URL('testing/program.ts', import.meta.url));

interface Answer {
  readonly worker: number;
  readonly pid: number;
  readonly level: string;
}

const REPLACED = 'scrivener_workers_replaced_total';

/** The program with that many workers, as processes of their own. */
function start(workers: number, environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [PROGRAM, String(workers)], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const lines = () =>
    output.stderr
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const url = async (path: string) => {
    await expect.poll(() => output.stdout, LONG).toMatch(/port \d+/);
    return `http://127.0.0.1:${/port (\d+)/.exec(output.stdout)?.[1]}${path}`;
  };
  const get = async (path: string) => (await fetch(await url(path))).text();
  return {
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    lines,
    get,
    ended,
    signal: (name: NodeJS.Signals) => child.kill(name),
    ask: async () => JSON.parse(await get('/')) as Answer,
  };
}

type Started = ReturnType<typeof start>;

const LONG = { timeout: 10_000, interval: 20 };

const serving = (program: Started, workers: number) =>
  expect
    .poll(async () => valueOf(await program.get('/metrics'), 'scrivener_workers'), LONG)
    .toBe(workers);

/** Asks until workers with all these numbers have answered; gives the last answer of each. */
async function askAll(program: Started, numbers: readonly number[]): Promise<Map<number, Answer>> {
  const heard = new Map<number, Answer>();
  await expect
    .poll(async () => {
      // At the same time, so that one alone has no time for all of them.
      const answers = await Promise.all(Array.from({ length: 8 }, () => program.ask()));
      for (const answer of answers) heard.set(answer.worker, answer);
      return numbers.filter((number) => heard.has(number));
    }, LONG)
    .toEqual(numbers);
  return heard;
}

const valueOf = (text: string, name: string) =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);

const isThere = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('a start', () => {
  test('that the first worker refuses ends as that did, and nothing else was started', async () => {
    const program = start(3, { REFUSES_1: 'yes' });

    expect(await program.ended).toBe(7);
    expect(program.lines()).toEqual([
      expect.objectContaining({ level: 'fatal', msg: 'will not', worker: 1 }),
    ]);
  });

  test('that another one refuses goes on, with more and more time between the tries', async () => {
    const program = start(2, { REFUSES_2: 'yes' });
    const delays = () =>
      program.lines().flatMap(({ delay }) => (delay === undefined ? [] : [delay]));

    await expect.poll(() => delays().length, LONG).toBeGreaterThan(4);
    expect(delays().slice(0, 5)).toEqual([20, 40, 80, 100, 100]);
    expect((await program.ask()).worker).toBe(1);
    await program.kill();
  });
});

describe('of two workers', () => {
  let program: Started;
  beforeAll(() => {
    program = start(2);
  });
  afterAll(() => program.kill());

  test('one that ends is replaced, the log says so, and what it had counted stays counted', async () => {
    await serving(program, 2);
    await askAll(program, [1, 2]);
    const before = await program.get('/metrics');
    const asked = valueOf(before, 'asked_total');
    expect(asked).toBeGreaterThan(7);
    expect(valueOf(before, 'in_hand')).toBe(2);
    expect(valueOf(before, 'size_count{what="a"}')).toBe(asked);

    await program.get('/exit').catch(() => {});
    await expect.poll(async () => valueOf(await program.get('/metrics'), REPLACED), LONG).toBe(1);
    await serving(program, 2);

    const after = await program.get('/metrics');
    expect(valueOf(after, 'asked_total')).toBe(asked);
    expect(valueOf(after, 'in_hand')).toBe(2);
    expect(valueOf(after, 'size_count{what="a"}')).toBe(asked);
    expect(valueOf(after, 'size{what="a",quantile="0.99"}')).toBeCloseTo(2, 1);
    expect(valueOf(after, 'scrivener_source_up{source="workers"}')).toBe(1);
    for (const worker of [1, 2]) {
      expect(valueOf(after, `process_start_time_seconds{worker="${worker}"}`)).toBeGreaterThan(0);
    }
    expect(program.lines()).toContainEqual(
      expect.objectContaining({
        level: 'error',
        msg: expect.stringMatching(/^worker \d ended \(exit code 7\): starting another one/),
      }),
    );
  });

  test('both hear how much the log is to say, and so does one that comes later', async () => {
    const levels = async () => [...(await askAll(program, [1, 2])).values()].map((a) => a.level);

    program.signal('SIGUSR1');
    await expect.poll(levels, LONG).toEqual(['debug', 'debug']);

    const before = valueOf(await program.get('/metrics'), REPLACED);
    await program.get('/exit').catch(() => {});
    await expect
      .poll(async () => valueOf(await program.get('/metrics'), REPLACED), LONG)
      .toBe(before + 1);
    await serving(program, 2);
    await expect.poll(levels, LONG).toEqual(['debug', 'debug']);
  });

  test('one that hangs keeps nobody waiting, and is killed and replaced', async () => {
    const pids = async () => [...(await askAll(program, [1, 2])).values()].map(({ pid }) => pid);
    const before = await pids();

    await program.get('/hang').catch(() => {});

    expect((await pids()).filter((pid) => !before.includes(pid))).toHaveLength(1);
    expect(program.lines()).toContainEqual(
      expect.objectContaining({ msg: expect.stringMatching(/^worker \d hangs: killing it$/) }),
    );
  });

  test('both finish what they have in hand when they are asked to stop, and all ends with 0', async () => {
    const slow = Array.from({ length: 6 }, () => program.get('/slow'));
    await sleep(200);

    program.signal('SIGTERM');

    expect(await Promise.all(slow)).toEqual(Array(6).fill('slow'));
    expect(await program.ended).toBe(0);
  });
});

describe('the primary', () => {
  test('that is killed leaves nobody behind', async () => {
    const program = start(2);
    await serving(program, 2);
    const answers = await askAll(program, [1, 2]);

    await program.kill();

    const pids = [...answers.values()].map(({ pid }) => pid);
    await expect.poll(() => pids.filter(isThere), LONG).toEqual([]);
  });

  test('does not wait for ever for one that does not stop', async () => {
    const program = start(2);
    await serving(program, 2);
    const answers = await askAll(program, [1, 2]);
    void program.get('/hang').catch(() => {});
    await sleep(200);

    program.signal('SIGTERM');

    expect(await program.ended).toBe(1);
    expect([...answers.values()].map(({ pid }) => pid).filter(isThere)).toEqual([]);
  });
});
