import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, constants, setPriority } from 'node:os';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { readProjectorConfig } from './config.ts';
import { describeFinding, FINDING_KINDS } from './fsck/finding.ts';
import { fsck, type FsckProgress, type Report } from './fsck/fsck.ts';
import { headSchema, type RecordedHead } from './fsck/log-order.ts';

const USAGE = `usage: fsck [-config FILE] [OPTIONS]
Verifies the log again: positions, the chain of hashes, files, every signature, what snapshots and
timestamps vouch for, and the read model. Exits 0 when all is well, 1 when something is not, 2 when it
could not find out.
  --json FILE       writes the report there as well; - is standard output, and nothing else goes there
  --expect FILE     a report from before: the log up to there has to be the same
  --head N:DIGEST   the same, by a head that was recorded: position and digest
  --state FILE      keeps there how far it has got; after a kill, goes on from there
  --threads N       as many as there are processors by default
  --quiet           no progress on standard error
  --background      at the lowest priority, beside programs that serve
  -config FILE      settings of the projector; NOTARY_SERVER_* variables override it
  -help             this text`;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const { json, expected, stateFile, threads, quiet, background } = await parseWords(words);
  if (background) setPriority(constants.priority.PRIORITY_LOW); // threads inherit it
  try {
    const { databaseUrl } = readProjectorConfig(file, process.env);
    const report = await fsck({
      url: databaseUrl,
      threads,
      expected,
      stateFile,
      ...(!quiet && { onProgress: now() }),
    });
    await writeReport(report, json);
    if (report.findings.length > 0) process.exitCode = 1;
  } catch (error) {
    process.stderr.write(`fsck: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
});

async function writeReport(report: Report, file: string | undefined): Promise<void> {
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  if (file === '-') {
    process.stdout.write(json);
    return;
  }
  if (file !== undefined) await writeFile(file, json);
  process.stdout.write(`${linesOf(report).join('\n')}\n`);
}

async function parseWords(words: readonly string[]) {
  const { values } = parse(words);
  const heads = (values.head ?? []).map((text): RecordedHead => {
    const [position, digest] = text.split(':');
    return headOf({ position: Number(position), digest }, `--head ${text}`);
  });
  const reports = (values.expect ?? []).map(async (path) => {
    const report: unknown = JSON.parse(await readFile(path, 'utf8'));
    const head = typeof report === 'object' && report !== null && 'head' in report && report.head;
    return headOf(head, path);
  });
  const threads = Number(values.threads ?? availableParallelism());
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new UsageError('--threads wants a number from 1 to 256');
  }
  return {
    json: values.json,
    expected: [...heads, ...(await Promise.all(reports))],
    stateFile: values.state,
    threads,
    quiet: values.quiet === true,
    background: values.background === true,
  };
}

function parse(words: readonly string[]) {
  return parseOptions(words, {
    options: {
      json: { type: 'string' },
      expect: { type: 'string', multiple: true },
      head: { type: 'string', multiple: true },
      state: { type: 'string' },
      threads: { type: 'string' },
      quiet: { type: 'boolean' },
      background: { type: 'boolean' },
    },
  });
}

function headOf(value: unknown, where: string): RecordedHead {
  const head = headSchema.safeParse(value);
  if (!head.success) throw new UsageError(`${where} names no head of a log`);
  return head.data;
}

/** Every two seconds. */
function now(): (progress: FsckProgress) => void {
  let told = performance.now();
  return ({ phase, events, of, rate, left }) => {
    if (performance.now() - told < 2_000) return;
    told = performance.now();
    const time = Number.isFinite(left) ? `${Math.ceil(left)} s left` : '';
    process.stderr.write(
      `fsck: ${phase}: ${events} of ${of} events, ${Math.round(rate)} a second, ${time}\n`,
    );
  };
}

function linesOf(report: Report): string[] {
  const { events, repositories, files, unprojected, findings, head, seconds } = report;
  const counts = FINDING_KINDS.map((kind) => {
    return [kind, findings.filter((finding) => finding.kind === kind).length] as const;
  }).filter(([, count]) => count > 0);
  return [
    ...findings.map(describeFinding),
    `${events} events of ${repositories} repositories and their ${files} files in ${seconds.toFixed(1)} s`,
    ...(unprojected > 0 ? [`${unprojected} repositories are not projected yet`] : []),
    findings.length === 0
      ? 'nothing is wrong'
      : `${findings.length} findings: ${counts.map(([kind, count]) => `${count} ${kind}`).join(', ')}`,
    `head ${head.position}:${head.digest}`,
  ];
}
