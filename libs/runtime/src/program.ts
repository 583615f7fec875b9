import { parseCommandLine, UsageError, type CommandLine } from './command-line.ts';
import { ConfigError } from './config-error.ts';
import { createLogger } from './logger.ts';

/**
 * Runs a program and ends the process the way an operator expects when it cannot start: a wrong
 * command line prints the usage and exits 2; a configuration that cannot be used, or anything else
 * that `main` throws, is one line of log at level fatal and exit 1.
 */
export function runProgram(usage: string, main: (line: CommandLine) => Promise<void>): void {
  const run = async () => {
    const line = parseCommandLine(process.argv.slice(2));
    if (line.help) process.stdout.write(`${usage}\n`);
    else await main(line);
  };
  run().catch((error: unknown) => {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n${usage}\n`);
      process.exit(2);
    }
    const logger = createLogger('fatal');
    if (error instanceof ConfigError) logger.fatal(error.message);
    else logger.fatal({ err: error }, 'cannot start');
    process.exit(1);
  });
}
