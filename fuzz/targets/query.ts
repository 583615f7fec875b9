import { parseQuery } from '../../apps/api/src/query.ts';
import { expectSame, type Target } from '../target.ts';

/** Raw queries: what is broken in one is left out. */
export const query: Target = {
  name: 'query',
  words: [
    'records=',
    'change_id=',
    '&',
    ';',
    '=',
    '+',
    '%2B',
    '%',
    '%zz',
    '-1',
    '2147483647',
    '%00',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) => {
      const text = Buffer.from(input).toString('latin1');
      const parameters = parseQuery(text);
      const written = [...parameters]
        .map((pair) => pair.map((each) => encodeURIComponent(each.toWellFormed())).join('='))
        .join('&');
      const again = written === '' ? parameters.size : parseQuery(written).size;
      expectSame(again, parameters.size, 'another number of parameters');
      return parameters.has('records') ? 'value' : 'refusal';
    },
  }),
};
