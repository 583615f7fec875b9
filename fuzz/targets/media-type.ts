import { NotaryError } from '../../apps/api/src/errors.ts';
import { parseMediaType } from '../../apps/api/src/form/media-type.ts';
import { boundaryOf } from '../../apps/api/src/form/multipart.ts';
import { verdictOf, type Target } from '../target.ts';

/** `Content-Type` and `Content-Disposition`. */
export const mediaType: Target = {
  name: 'media-type',
  words: [
    'multipart/form-data',
    'form-data',
    '; ',
    'boundary=',
    'filename=',
    "filename*=UTF-8''",
    'filename*0=',
    'filename*1*=',
    '"',
    '\\"',
    '%41',
    '%ff',
    '=',
    ' ',
  ],
  runs: 3_000,
  open: () => ({
    run: async (input) => {
      const text = Buffer.from(input).toString('latin1');
      await verdictOf(() => boundaryOf(text), NotaryError);
      return parseMediaType(text) === undefined ? 'refusal' : 'value';
    },
  }),
};
