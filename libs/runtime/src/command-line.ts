import { parseArgs } from 'node:util';

/** A command line that makes no sense; `message` is for whoever typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface CommandLine {
  /** `-config FILE`, `-config=FILE`, with one dash or two (WIRE §14.1). */
  readonly config?: string;
  readonly help: boolean;
  /** What is not a flag. */
  readonly arguments: readonly string[];
}

/** Reads the words after the program's name, as the old programs did. Throws `UsageError`. */
export function parseCommandLine(words: readonly string[]): CommandLine {
  try {
    const { values, positionals } = parseArgs({
      args: words.map((word) => word.replace(/^-(?=[a-z]{2})/, '--')),
      options: {
        config: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      strict: true,
      allowPositionals: true,
    });
    return { ...values, arguments: positionals };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** For programs that take nothing but flags. Throws `UsageError`. */
export function refuseWords(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`unexpected ${words[0]}`);
}
