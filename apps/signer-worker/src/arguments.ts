import { parseArgs } from 'node:util';

/** A command line that makes no sense; `message` is for whoever typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** `-config FILE`, with one dash or two, with a blank or `=`, as the old programs took it (SIGNER §3.1). */
export function parseArguments(words: readonly string[]): { readonly config?: string } {
  try {
    const { values } = parseArgs({
      args: words.map((word) => word.replace(/^-(?=[a-z]{2})/, '--')),
      options: { config: { type: 'string' } },
      strict: true,
      allowPositionals: true,
    });
    return values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
