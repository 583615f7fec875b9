import { setFlagsFromString } from 'node:v8';
import type { z } from 'zod';
import { FLAGS, parseCommandLine, UsageError, type CommandLine } from './command-line.ts';
import { readGiven } from './config.ts';
import { ConfigError, UnparsableConfig } from './config-error.ts';
import { noConfigFile, readConfigFile } from './config-file.ts';
import { createDebugServer, type Debug } from './debug-server.ts';
import { changeLevelOnSignal, createLogger, type Logger, type LogLevel } from './logger.ts';
import { settingRows, settingsInEffect, unknownSettings } from './settings-text.ts';
import { traceSettings } from './telemetry-settings.ts';
import { hasTraces } from './tracing.ts';
import { describeVersion } from './version.ts';
import { joinGroup, type Group } from './workers/group.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What every program reads from its settings. */
interface StartSettings {
  readonly logLevel: LogLevel;
  readonly debug?: boolean;
  /** What the operator should hear though it starts. */
  readonly warnings?: readonly string[];
}

export interface Context {
  readonly logger: Logger;
  /** What `-debug` shows of this program. */
  readonly debug: Debug;
  /** The processes under the same address, where this is one of several. */
  readonly group?: Group | undefined;
}

export interface Program<Config extends StartSettings> {
  /** As operators know it. */
  readonly name: string;
  /** The schema of its settings, and what their variables begin with. */
  readonly settings: z.ZodObject;
  readonly prefix: string;
  /** Whether variables alone may say it all. */
  readonly startsWithoutFile: boolean;
  /** Throws `ConfigError`. */
  readonly read: (file: string | undefined, environment: Environment) => Config;
  /** How many processes of it answer under one address; one where absent. */
  readonly workers?: (config: Config) => number;
  /** Resolves when the program is up; it runs on until a signal ends it. */
  readonly start: (config: Config, context: Context) => Promise<void>;
}

/**
 * By how many per cent of what is in use the heap may grow until it is collected. By itself, V8 lets it become
 * more than twice as large: it does not know that other processes want that memory.
 */
const GROWTH = 30;

/**
 * Runs a program that serves, with the command line of the old ones (WIRE §14.1), and ends the process
 * as an operator expects when it cannot start: a wrong command line is explained, with exit 2; a
 * configuration that cannot be used, or anything else that is thrown, is a line of log at level fatal,
 * with exit 1.
 */
export function runProgram<Config extends StartSettings>(program: Program<Config>): void {
  const line = parseOr(() => {
    process.stdout.write(`usage: ${program.name}\n`);
    return flagsText();
  });
  if (line.help) {
    process.stdout.write(`usage: ${program.name}\n`);
    process.stderr.write(`${flagsText()}\n${settingsText(program)}`);
  } else if (line.version) {
    process.stdout.write(`${program.name} ${describeVersion()}\n`);
  } else if (line.checkConfig) {
    endOnFailure(line, () => checkConfig(program, line));
  } else {
    endOnFailure(line, () => startProgram(program, line));
  }
}

/**
 * Runs a command: it does one thing, says so on stdout and ends. Refusals are those of `runProgram`;
 * `usage` begins with the line that shows how to call it.
 */
export function runCommand(usage: string, main: (line: CommandLine) => Promise<void>): void {
  const line = parseOr(() => `${usage}\n`, { hasOwnFlags: true });
  if (line.help) process.stdout.write(`${usage}\n`);
  else endOnFailure(line, () => main(line), usage);
}

function parseOr(explain: () => string, options?: { readonly hasOwnFlags: boolean }): CommandLine {
  try {
    return parseCommandLine(process.argv.slice(2), options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n${explain()}`);
    process.exit(2);
  }
}

async function startProgram<Config extends StartSettings>(
  program: Program<Config>,
  line: CommandLine,
): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`);
  const logger = createLogger('info', undefined, line.logForm);
  const group = joinGroup((level) => {
    logger.level = level;
  });
  // Whatever the level will be: whoever reads a log has to know whose it is (WIRE §15).
  if (group === undefined) logger.info(describeVersion());
  const config = readConfig(program, line);
  logger.level = config.logLevel;
  if (line.bootstrap) throw new ConfigError('store does not support bootstrapping');
  const workers = program.workers?.(config) ?? 1;
  if (group === undefined) {
    for (const warning of config.warnings ?? []) logger.warn(warning);
    if (wantsTraces() && !hasTraces()) logger.warn(NO_TRACES);
    if (workers > 1) {
      const { runPrimary } = await import('./workers/primary.ts');
      await runPrimary(workers, logger);
      return;
    }
  }
  changeLevelOnSignal(logger);
  const debug = createDebugServer();
  // One port: of several workers the first one shows itself.
  const isShown = group === undefined || group.worker === 1;
  if (isShown && (line.debug || config.debug === true)) await debug.listen();
  await program.start(config, { logger, debug, group });
  group?.up();
}

/** Those who ask for traces must not get none without a word. */
const NO_TRACES =
  'there will be no traces: start this program by node --import @scrivener/runtime/telemetry';

function wantsTraces(): boolean {
  try {
    return traceSettings(process.env) !== undefined;
  } catch {
    return true; // in a way that would be refused
  }
}

async function checkConfig<Config extends StartSettings>(
  program: Program<Config>,
  line: CommandLine,
): Promise<void> {
  const { warnings = [] } = readConfig(program, line);
  const { settings, prefix } = program;
  const file = line.config === undefined ? {} : readConfigFile(line.config);
  const ignored = unknownSettings(settings, file).map((name) => `${name} is ignored`);
  for (const notice of [...warnings, ...ignored]) process.stderr.write(`${notice}\n`);
  const given = readGiven(settings, { file: line.config, environment: process.env, prefix });
  process.stdout.write(`${JSON.stringify(settingsInEffect(settings, given), undefined, 2)}\n`);
}

function readConfig<Config extends StartSettings>(
  program: Program<Config>,
  { config: file }: CommandLine,
): Config {
  if (file === undefined && !program.startsWithoutFile) throw noConfigFile();
  return program.read(file, process.env);
}

function endOnFailure(line: CommandLine, run: () => Promise<void>, usage = ''): void {
  run().catch((error: unknown) => {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n${usage}\n`);
      process.exit(2);
    }
    if (error instanceof UnparsableConfig) process.stdout.write(parseError(error.message));
    const logger = createLogger('fatal', undefined, line.logForm);
    if (error instanceof ConfigError) logger.fatal(error.message);
    else logger.fatal({ err: error }, 'cannot start');
    process.exit(1);
  });
}

/** Where and how the old programs said this (WIRE §14.2), beside the line of log. */
function parseError(message: string): string {
  const now = new Date();
  const date = [now.getFullYear(), now.getMonth() + 1, now.getDate()];
  return `ERROR: ${date.map((part) => String(part).padStart(2, '0')).join('/')} ${message}\n`;
}

function flagsText(): string {
  return Object.entries(FLAGS)
    .map(
      ([name, flag]) =>
        `  -${'value' in flag ? `${name} ${flag.value}` : name}\n    \t${flag.says}\n`,
    )
    .join('');
}

function settingsText({
  settings,
  prefix,
}: Pick<Program<StartSettings>, 'settings' | 'prefix'>): string {
  const rows = settingRows(settings, prefix).map(({ name, variable, byDefault, description }) => {
    const named = variable === undefined ? name : `${name} (${variable})`;
    return `  ${named}\n    \t${description}${byDefault === undefined ? '' : `; default ${byDefault}`}\n`;
  });
  return `Settings of the file; a variable in brackets overrides it:\n${rows.join('')}`;
}
