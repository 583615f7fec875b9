import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import {
  ReadModelError,
  type Difference,
  type Generations,
  type Rebuilt,
} from '@scrivener/read-model';
import { postgresGenerations } from '@scrivener/read-model/postgres';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { readProjectorConfig } from './config.ts';
import { ApprovalError, differenceLine, readApprovals } from './differences.ts';
import { createReporter } from './rebuild-progress.ts';

const USAGE = `usage: rebuild [-config FILE] [OPTIONS]
       rebuild [-config FILE] --back | --drop | --status [--json]
Builds another generation of the read model from the log while traffic goes on, compares every row with the
live one, and makes it live if they are the same; the former one is kept. After a kill, the same command
goes on where it was. Exits 1, and nothing has changed, when there are differences or when it cannot be done.
  --differences FILE  writes every difference there, a line of JSON for each
  --approve FILE      differences that may be: lines as above, or with fewer members ("table", "gun"), for
                      all that have these
  --from-start        begins anew, whatever an earlier rebuild left
  --back              makes the former generation live again
  --drop              throws away the generation that is not live
  --status            says which generation is live
  --json              says the result as JSON
  -config FILE        settings of the projector; NOTARY_SERVER_* variables override it
  -help               this text`;

/** Differences that are shown where there is no file for them. */
const SHOWN = 20;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const { task, ...options } = await parseWords(words);
  const { databaseUrl } = readProjectorConfig(file, process.env);
  const generations = postgresGenerations(databaseUrl);
  try {
    const { text, json, failed } = await TASKS[task](generations, options);
    process.stdout.write(`${options.json ? JSON.stringify(json) : text}\n`);
    if (failed === true) process.exitCode = 1;
  } catch (error) {
    if (!(error instanceof ReadModelError)) throw error;
    process.stderr.write(`rebuild: ${error.message}\n`);
    process.exitCode = 1;
  } finally {
    await generations.close();
  }
});

interface Options {
  readonly json: boolean;
  readonly fromStart: boolean;
  readonly approves: (difference: Difference) => boolean;
  readonly differences: string | undefined;
}

interface Answer {
  readonly text: string;
  readonly json: unknown;
  readonly failed?: boolean;
}

type Task = 'rebuild' | 'back' | 'drop' | 'status';

type Work = (generations: Generations, options: Options) => Promise<Answer>;

const TASKS: Readonly<Record<Task, Work>> = {
  async rebuild(generations, { fromStart, approves, differences }) {
    const report = createReport(differences);
    const reporter = createReporter();
    try {
      const rebuilt = await generations.rebuild({
        fromStart,
        onProgress: reporter.tell,
        approve(difference) {
          const isApproved = approves(difference);
          report.add(difference, isApproved);
          return isApproved;
        },
      });
      return answerOf(rebuilt);
    } finally {
      reporter.end();
      report.end();
    }
  },

  async back(generations) {
    const reporter = createReporter();
    try {
      return answerOf(await generations.back({ onProgress: reporter.tell }));
    } finally {
      reporter.end();
    }
  },

  async drop(generations) {
    await generations.drop();
    return { text: 'there is one generation, which is live', json: { result: 'dropped' } };
  },

  async status(generations) {
    const serving = await generations.serving();
    const { generation, checkpoint, since, other } = serving;
    const live = `generation ${generation} is live, at position ${checkpoint}, since ${since.toISOString()}`;
    if (other.state === 'empty') return { text: live, json: serving };
    const beside = `generation ${other.generation} is ${other.state}, at position ${other.checkpoint}`;
    return { text: `${live}\n${beside}`, json: serving };
  },
};

function answerOf(rebuilt: Rebuilt): Answer {
  switch (rebuilt.result) {
    case 'live': {
      const { generation, position } = rebuilt;
      const text = `generation ${generation} is live, from position ${position} on`;
      return { text, json: rebuilt };
    }
    case 'different': {
      const text = `nothing has changed: ${rebuilt.differences} differences are not approved`;
      return { text, json: rebuilt, failed: true };
    }
  }
}

interface Report {
  add(difference: Difference, isApproved: boolean): void;
  end(): void;
}

/** All differences in a file, or the first of those that are not approved on standard error. */
function createReport(path: string | undefined): Report {
  if (path !== undefined) return createReportFile(openSync(path, 'w'));
  let refused = 0;
  return {
    add(difference, isApproved) {
      if (isApproved) return;
      refused += 1;
      if (refused <= SHOWN) process.stderr.write(`${differenceLine(difference)}\n`);
      if (refused === SHOWN + 1) process.stderr.write('and more: see them with --differences\n');
    },
    end() {},
  };
}

/** Written at once, for there may be more of them than memory holds. */
function createReportFile(file: number): Report {
  return {
    add: (difference) => void writeSync(file, `${differenceLine(difference)}\n`),
    end: () => closeSync(file),
  };
}

async function parseWords(words: readonly string[]): Promise<Options & { readonly task: Task }> {
  const values = parse(words);
  const asked = (['back', 'drop', 'status'] as const).filter((name) => values[name] === true);
  const [task = 'rebuild']: readonly Task[] = asked;
  const ofRebuild = (['approve', 'differences', 'from-start'] as const).filter(
    (name) => values[name] !== undefined,
  );
  if (asked.length > 1 || (asked.length > 0 && ofRebuild.length > 0)) {
    throw new UsageError(`--${[...asked, ...ofRebuild].join(' and --')} do not go together`);
  }
  return {
    task,
    json: values.json === true,
    fromStart: values['from-start'] === true,
    approves: await readApprovalFile(values.approve),
    differences: values.differences,
  };
}

async function readApprovalFile(path: string | undefined) {
  if (path === undefined) return () => false;
  try {
    return readApprovals(await readFile(path, 'utf8'));
  } catch (error) {
    const isAbout = error instanceof ApprovalError || (error instanceof Error && 'code' in error);
    if (!isAbout) throw error;
    throw new UsageError(`--approve ${path}: ${error.message}`, { cause: error });
  }
}

function parse(words: readonly string[]) {
  const text = { type: 'string' } as const;
  const yes = { type: 'boolean' } as const;
  return parseOptions(words, {
    options: {
      approve: text,
      differences: text,
      'from-start': yes,
      back: yes,
      drop: yes,
      status: yes,
      json: yes,
    },
  }).values;
}
