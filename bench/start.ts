import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../scripts/places.ts';
import { freePort } from '../scripts/processes.ts';
import { spreadOf, type Figure } from './series.ts';

/** `npm start` on a machine that is set up: from the command to healthy, after a first one. */
export async function measureStart(runs: number): Promise<Figure[]> {
  const data = mkdtempSync(join(tmpdir(), 'bench-start-'));
  const port = await freePort();
  try {
    const first = await startOnce(data, port);
    const later: number[] = [];
    for (let run = 0; run < runs; run += 1) later.push(await startOnce(data, port));
    const { median, max } = spreadOf(later);
    return [
      { bench: 'start', name: 'the first npm start', value: first, unit: 's' },
      { bench: 'start', name: 'later ones', value: median, unit: 's' },
      { bench: 'start', name: 'the slowest of them', value: max, unit: 's' },
    ];
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

/** Seconds until it says that it is healthy; then it is stopped. */
async function startOnce(data: string, port: number): Promise<number> {
  const began = performance.now();
  const child = spawn('npm', ['start'], {
    cwd: ROOT,
    env: { ...process.env, SCRIVENER_DATA: data, SCRIVENER_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let output = '';
  const healthy = new Promise<number>((resolve) => {
    const hear = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Scrivener is healthy')) resolve((performance.now() - began) / 1_000);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
  });
  const seconds = await Promise.race([healthy, ended.then(() => undefined)]);
  if (seconds === undefined) throw new Error(`npm start ended: ${output}`);
  child.kill('SIGTERM');
  await ended;
  return seconds;
}
