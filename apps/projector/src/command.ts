import { parseArgs } from 'node:util';
import { ConfigError, createLogger } from '@scrivener/runtime';
import { readProjectorConfig, type Config } from './config.ts';

/** A command line that makes no sense; `message` is for whoever typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface CommandLine {
  readonly config: Config;
  /** The words that are no option. */
  readonly words: readonly string[];
}

/** Runs one of this folder's programs. Exits 2 for a wrong command line and 1 when it fails. */
export async function runCommand(
  usage: string,
  command: (line: CommandLine) => Promise<void>,
): Promise<void> {
  try {
    await command(commandLine(process.argv.slice(2)));
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\nusage: ${usage}\n`);
      process.exit(2);
    }
    const logger = createLogger('fatal');
    if (error instanceof ConfigError) logger.fatal(error.message);
    else logger.fatal({ err: error }, 'cannot go on');
    process.exit(1);
  }
}

/** `-config FILE`, with one dash or two, with a blank or `=`; then words. Throws `UsageError`, `ConfigError`. */
export function commandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
): CommandLine {
  const { values, positionals } = parse(args);
  return { config: readProjectorConfig(values.config, environment), words: positionals };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: args.map((word) => word.replace(/^-(?=config\b)/, '--')),
      options: { config: { type: 'string' } },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
