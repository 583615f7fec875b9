import { historySvg } from '@scrivener/events/picture';
import { parseGun } from '@scrivener/tuf';
import { textOf, type Target } from '../target.ts';

/** Names that end up in a picture: nothing in them may become a tag or an attribute. */
export const picture: Target = {
  name: 'picture',
  words: [
    '<script>',
    '</text>',
    '"',
    "'",
    '&',
    '&lt;',
    ']]>',
    '<!--',
    '<?',
    '\0',
    '\u202e',
    '\r\n',
  ],
  runs: 1_000,
  open: () => ({
    run: (input) => {
      const name = textOf(input);
      const gun = parseGun(name);
      if (gun === undefined) return 'refusal';
      const at = '2026-11-22T00:00:00.000Z';
      const event = {
        type: 'RepositoryDeleted',
        gun,
        at,
        cause: { subject: name },
        data: {},
      } as const;
      const stream = [{ position: 1, version: 1, hash: '', event }];
      const svg = historySvg({ gun, stream, rotations: [], now: new Date(at) });
      const plain = historySvg({
        gun: 'x' as typeof gun,
        stream: [
          { position: 1, version: 1, hash: '', event: { ...event, cause: { subject: 'x' } } },
        ],
        rotations: [],
        now: new Date(at),
      });
      if (svg.split('<').length !== plain.split('<').length) throw new Error('another tag');
      if (svg.split('"').length !== plain.split('"').length) throw new Error('another quote');
      return 'value';
    },
  }),
};
