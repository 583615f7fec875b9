import { checkServerPayload, TufError } from '@scrivener/tuf';
import { verdictOf, type Target } from '../target.ts';

/** What a signer is asked to sign over gRPC: a snapshot or a timestamp, or nothing. */
export const payload: Target = {
  name: 'payload',
  words: [
    '{"_type":"Timestamp"',
    '"expires":"2036-01-02T03:04:05Z"',
    '"meta":{',
    '"snapshot":',
    '"hashes":{',
    '"sha256":"',
    '"length":',
    '"version":',
    '}',
    ',',
    '\u0001',
  ],
  runs: 3_000,
  open: () => ({
    run: async (input) => {
      const verdicts = [
        await verdictOf(() => checkServerPayload('snapshot', input), TufError),
        await verdictOf(() => checkServerPayload('timestamp', input), TufError),
      ];
      const signed = verdicts.filter((verdict) => verdict === 'value').length;
      if (signed > 1) throw new Error('it is both a snapshot and a timestamp');
      return signed === 1 ? 'value' : 'refusal';
    },
  }),
};
