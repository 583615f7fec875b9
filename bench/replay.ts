import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureDatabase } from '../scripts/database.ts';
import { migrateDatabases } from '../scripts/migrate.ts';
import { ROOT } from '../scripts/places.ts';
import type { Work } from './contest.ts';
import { fill } from './fill/fill.ts';
import type { Sample } from './series.ts';
import type { BenchPostgres } from './stack.ts';
import { childrenCpu } from './usage.ts';

/** Runs the command `replay`: another generation of the read model, compared with the one there is. */
async function replayAll(databaseUrl: string): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-replay-'));
  try {
    const config = join(folder, 'projector.json');
    writeFileSync(
      config,
      JSON.stringify({ storage: { backend: 'postgres', db_url: databaseUrl } }),
    );
    const program = join(ROOT, 'apps/projector/src/replay.ts');
    const cpu = childrenCpu();
    const began = performance.now();
    const words = ['--import=@scrivener/runtime/telemetry', program, '-config', config];
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: ROOT });
    const [, digits] = /(\d+) events/.exec(stdout) ?? [];
    if (digits === undefined) throw new Error(`replay said: ${stdout}`);
    const operations = Number(digits);
    return {
      operations,
      seconds: (performance.now() - began) / 1_000,
      failed: 0,
      ownCpu: { replay: (childrenCpu() - cpu) / Math.max(1, operations) },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A log of so many collections, projected from its start; the start of the process is in the time. */
export async function prepareReplay(postgres: BenchPostgres, collections: number): Promise<Work[]> {
  const name = randomBytes(4).toString('hex');
  const [server, signer] = [
    await ensureDatabase(postgres.url, `bench_replay_${name}`),
    await ensureDatabase(postgres.url, `bench_replay_keys_${name}`),
  ];
  await migrateDatabases({ server, signer }, []);
  await fill({ server, signer }, collections);
  const side = { name: 'scrivener', watched: [postgres], run: () => replayAll(server) };
  return [
    { bench: 'replay', name: `events of ${collections} collections, projected`, sides: [side] },
  ];
}
