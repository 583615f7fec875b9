import { decodeQuotedPrintable } from '../../apps/api/src/form/quoted-printable.ts';
import type { Target } from '../target.ts';

/** Parts in quoted-printable: what is no escape stands for itself, and nothing grows. */
export const quotedPrintable: Target = {
  name: 'quoted-printable',
  words: ['=', '=3D', '=\r\n', '=\n', ' ', '\t', '\r\n', '=zz', '='.repeat(40), ' '.repeat(40)],
  runs: 3_000,
  open: () => ({
    run: (input) => {
      const decoded = decodeQuotedPrintable(Buffer.from(input));
      if (decoded.length > input.length) throw new Error(`it grew to ${decoded.length} bytes`);
      return decoded.equals(input) ? 'refusal' : 'value';
    },
  }),
};
