import { JobKeyError, parseJobKeys } from '@scrivener/signing';
import { textOf, verdictOf, type Target } from '../target.ts';

/** A file of job keys: keys, or a refusal that repeats none of it. */
export const jobKeyFile: Target = {
  name: 'job-key-file',
  words: ['#', '\n', '\r\n', 'ab'.repeat(32), 'Ab+/'.repeat(11), '=', '-', '_', ' '],
  runs: 3_000,
  open: () => ({
    run: (input) => {
      const text = textOf(input);
      return verdictOf(() => {
        try {
          parseJobKeys(text);
        } catch (error) {
          const told = error instanceof Error ? error.message : '';
          const leaked = text
            .split(/[\r\n]+/)
            .some((line) => line.length > 24 && told.includes(line));
          if (leaked) throw new Error('the refusal repeats a key', { cause: error });
          throw error;
        }
      }, JobKeyError);
    },
  }),
};
