// `npm test`: every test (unit, contract, integration, end to end) against throw-away servers. All
// arguments go to vitest: `npm test -- libs/tuf`. The last line is `N passed, N failed`.

import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates, FIXTURES } from '../fixtures/certificates.ts';
import { findNotaryClient } from './notary-client.ts';
import { ROOT } from './places.ts';
import { startPostgres, stopLeftOverPostgres } from './postgres.ts';
import { isAlive } from './processes.ts';
import { findRedis, startRedis, stopLeftOverRedis } from './redis.ts';
import { SetUpError } from './set-up-error.ts';
import { countTests } from './test-count.ts';

const PREFIX = 'scrivener-test-';
let vitest: ChildProcess | undefined;
let interrupted = false;

// The servers are in sessions of their own, so a Ctrl-C reaches vitest and us, and they stay until
// the tests have let go of them.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = true;
    vitest?.kill(signal);
  });
}

await removeLeftOvers();
const folder = newFolder();
const stops: (() => Promise<void>)[] = [];
let count = { passed: 0, failed: 1 };
try {
  const environment = await startServers();
  if (!interrupted) count = await runVitest(environment);
} catch (error) {
  console.error(error instanceof SetUpError ? `npm test: ${error.message}` : error);
} finally {
  await Promise.allSettled(stops.map((stop) => stop()));
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1;

/** As root, PostgreSQL runs as somebody else, who has to get at its data. */
function newFolder(): string {
  const made = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  chmodSync(made, 0o755);
  return made;
}

/** A run that was killed could not clean up; its pid is in the name of its folder. */
async function removeLeftOvers(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const owner = Number(name.slice(PREFIX.length).split('-')[0]);
    const old = join(tmpdir(), name);
    if (isAlive(owner) || statSync(old).uid !== process.getuid?.()) continue;
    await stopLeftOverPostgres(join(old, 'postgres'));
    await stopLeftOverRedis(join(old, 'redis'));
    rmSync(old, { recursive: true, force: true });
  }
}

/** Starts what the environment does not name already, and returns what tests find things by. */
async function startServers(): Promise<Record<string, string>> {
  await ensureCertificates(new Date());
  return {
    TMPDIR: temporaryFolder(),
    SCRIVENER_FIXTURES: FIXTURES,
    NOTARY_CLIENT: process.env['NOTARY_CLIENT'] ?? (await findNotaryClient()),
    REDIS_URL: process.env['REDIS_URL'] ?? (await startThrowAwayRedis()),
    DATABASE_URL: process.env['DATABASE_URL'] ?? (await startThrowAwayPostgres()),
  };
}

/** What a test leaves behind, or one that was killed, goes with the run. */
function temporaryFolder(): string {
  const made = join(folder, 'tmp');
  mkdirSync(made);
  chmodSync(made, 0o755);
  return made;
}

async function startThrowAwayPostgres(): Promise<string> {
  const postgres = await startPostgres({
    directory: join(folder, 'postgres'),
    log: join(folder, 'postgres.log'),
    durable: false,
  });
  stops.push(() => postgres.stop());
  return postgres.url;
}

async function startThrowAwayRedis(): Promise<string> {
  const redis = await startRedis({
    program: await findRedis(),
    directory: join(folder, 'redis'),
    log: join(folder, 'redis.log'),
    durable: false,
  });
  stops.push(() => redis.stop());
  return redis.url;
}

async function runVitest(environment: Record<string, string>) {
  const report = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const code = await new Promise<number | null>((resolve, reject) => {
    vitest = spawn('vitest', ['run', ...reporters, ...process.argv.slice(2)], {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...environment },
    });
    vitest.on('error', reject);
    vitest.on('close', resolve);
  });
  return countTests(readReport(report), code === 0);
}

function readReport(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // vitest ended before it wrote one
  }
}
