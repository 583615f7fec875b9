import { resolveTarget } from '../../apps/api/src/paths.ts';
import { expectSame, type Target } from '../target.ts';

const METHODS = ['GET', 'POST', 'DELETE', 'HEAD', 'PUT', 'PATCH'];

/** Request targets, a byte a character as Node gives them. Any of them leads somewhere. */
export const path: Target = {
  name: 'path',
  words: [
    '/v2/',
    '/_trust/tuf/',
    '/_trust/changefeed',
    'root',
    'targets/a',
    '.json',
    '.key',
    'timestamp',
    '1.',
    '/..',
    '/./',
    '//',
    '%2F',
    '%2e',
    '%0a',
    '%',
    '%zz',
    '*',
    '?',
    '#',
    'http://h',
    'a'.repeat(64),
    '%ff',
    '%ed%a0%80',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) => {
      const target = Buffer.from(input).toString('latin1');
      let moved = false;
      for (const method of METHODS) {
        const destination = resolveTarget(method, target);
        if (destination.kind !== 'moved') continue;
        moved = true;
        const { location } = destination;
        const [newPath = ''] = location.split('?');
        // Not a protocol-relative URL: a browser would leave this server.
        expectSame(/^\/(?!\/)[\x21-\x7e]*$/.test(newPath), true, `a path to go to, ${location}`);
        const next = resolveTarget(method, location);
        if (next.kind === 'moved') throw new Error(`${location} moves on, to ${next.location}`);
      }
      const first = resolveTarget('GET', target);
      const leads = first.kind === 'route' && first.route.operation !== 'NotFound';
      return leads || moved ? 'value' : 'refusal';
    },
  }),
};
