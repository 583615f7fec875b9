import { parseMetafile, TufError } from '@scrivener/tuf';
import { envelopeOf, marshalEnvelope } from '../../libs/tuf/src/envelope.ts';
import { canonicalJson } from '../../libs/tuf/src/canonical-json.ts';
import { Refusal } from '../../libs/tuf/src/errors.ts';
import { expectSame, verdictOf, type Target } from '../target.ts';

/** The envelope of a file: MALFORMED_JSON, or read; written by us it says the same. */
export const metafile: Target = {
  name: 'metafile',
  words: [
    '{"signed":',
    '"signatures":[',
    '{"keyid":"',
    '"method":"',
    '"sig":"',
    'QQ==',
    '"version":',
    '"expires":"',
    '2026-01-01T00:00:00Z',
    '"_type":',
    '}',
    ']',
    ',',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) =>
      verdictOf(
        () => {
          const file = parseMetafile('targets', input);
          const { signed, signatures, version, type } = envelopeOf(file);
          const text = canonicalJson(signed ?? null);
          // oxlint-disable-next-line eslint/no-control-regex -- no JSON reader takes these raw
          if (/[\0-\x1f]/.test(text)) return;
          const written = marshalEnvelope(
            text,
            signatures.map((each) => ({ ...each, sig: Buffer.from(each.sig).toString('base64') })),
          );
          const again = parseMetafile('targets', written);
          expectSame(again.envelope.type, type, 'another type');
          expectSame(again.envelope.signatures.length, signatures.length, 'other signatures');
          expectSame(canonicalJson(again.envelope.signed ?? null), text, 'another signed part');
          // The signed text has numbers as doubles; a version beyond them is another one there.
          if (BigInt(Number(version)) === version) {
            expectSame(again.version, version, 'another version');
          }
        },
        TufError,
        Refusal,
      ),
  }),
};
