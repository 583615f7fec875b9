import { canonicalJson } from '../../libs/tuf/src/canonical-json.ts';
import { Refusal } from '../../libs/tuf/src/errors.ts';
import { decodeUtf8, readJson } from '../../libs/tuf/src/json.ts';
import { expectSame, verdictOf, type Target } from '../target.ts';

/** The text that gets signed: whoever reads it and writes it again gets the same text. */
export const canonical: Target = {
  name: 'canonical-json',
  words: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"é"',
    '"\\u0000"',
    '1e3',
    '1.0',
    '9007199254740993',
    '-0',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) =>
      verdictOf(
        () => {
          const { value } = readJson(decodeUtf8(input));
          const text = canonicalJson(value);
          // Control characters stand raw in it (WIRE §7.2), and no JSON reader takes those.
          // oxlint-disable-next-line eslint/no-control-regex -- these are what is looked for
          if (/[\0-\x1f]/.test(text)) return;
          const again = readJson(text);
          expectSame(again.trailing, undefined, 'text behind it');
          expectSame(canonicalJson(again.value), text, 'another text');
        },
        SyntaxError,
        Refusal,
      ),
  }),
};
