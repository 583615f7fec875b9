import { UsageError } from '@scrivener/runtime';
import { parseCommandLine } from '../../libs/runtime/src/command-line.ts';
import { textOf, verdictOf, type Target } from '../target.ts';

/** Words behind the name of a program, one a line. */
export const commandLine: Target = {
  name: 'command-line',
  words: [
    '-config',
    '--config',
    '-config=',
    '-logf',
    'json',
    '-debug',
    '-debug=',
    'true',
    '-version',
    '-h',
    '--',
    '-',
    '=',
    '\n',
    '-check-config',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) => verdictOf(() => parseCommandLine(textOf(input).split('\n')), UsageError),
  }),
};
