// `npm run bench -- reads publish --runs 5`: measures the real stack beside the limits of this machine.
// See docs/performance.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { UsageError } from '@scrivener/runtime';
import { ensureCertificates } from '../fixtures/certificates.ts';
import { SetUpError } from '../scripts/set-up-error.ts';
import { measure } from './measure.ts';
import { readOptions, USAGE, type Options } from './options.ts';
import { tableOf } from './report.ts';
import { OLD_SERVER, type Report } from './series.ts';

const startedAt = Date.now();
const say = (line: string) =>
  console.error(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${line}`);

/** How a shell says that a signal ended a program. */
const INTERRUPTED = 130;
class Interrupted extends Error {
  override readonly name = 'Interrupted';
}
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => reject(new Interrupted(signal)));
  }
});
interrupted.catch(() => {}); // for as long as nobody waits for it

try {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) console.log(USAGE);
  else process.exitCode = (await run(options)) ? 0 : 1;
} catch (error) {
  if (error instanceof Interrupted) process.exit(INTERRUPTED);
  if (!(error instanceof UsageError || error instanceof SetUpError)) throw error;
  console.error(`npm run bench: ${error.message}`);
  process.exitCode = 2;
}

/** Whether no request failed but those of the old server. */
async function run(options: Options): Promise<boolean> {
  const earlier = options.compare === undefined ? undefined : readReport(options.compare);
  await ensureCertificates(new Date());
  const report = await measure(options, say, interrupted);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  }
  console.log(tableOf(report, options.format, earlier));
  return report.series.every(({ side, failed }) => failed === 0 || side === OLD_SERVER);
}

function readReport(file: string): Report {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch (error) {
    throw new UsageError(`--compare ${file}: ${String(error)}`, { cause: error });
  }
  if (report.format !== 1) throw new UsageError(`--compare ${file}: not written by this benchmark`);
  return report;
}
