import { firstPublish, gunOf, post } from '../../apps/api/src/testing/client.ts';
import { startTestServer } from '../../apps/api/src/testing/server.ts';
import type { Target } from '../target.ts';
import { verdictOverTcp } from './http-answers.ts';

/** What stands behind `/_notary_server/v1/` in a target: moments, pages, differences, pictures. */
export const past: Target = {
  name: 'past',
  words: [
    'events?after=',
    'guns/a/b/at/',
    'guns/a/b/diff?from=',
    'guns/a/b/history.svg',
    'openapi.json',
    '&to=',
    '&limit=',
    '&gun=',
    '&stream=1',
    '&wait=1',
    '/at/1/',
    'root.json',
    'targets/releases.json',
    'targets/',
    '2026-11-22T10:00:00Z',
    '2026-02-31T25:61:61.9999999999+99:99',
    '%2b02:00',
    '999999999999999',
    '%00',
    '%0a',
    '*',
    '%ff',
  ],
  runs: 300,
  open: async () => {
    const server = await startTestServer();
    const owner = await firstPublish(server, gunOf('a/b'));
    await post(server, gunOf('a/b'), [owner.targets({ more: 'content' })]);
    return {
      run: (input) => {
        const rest = Buffer.from(input)
          .toString('latin1')
          .replaceAll(/[\0-\x20\x7f]/g, '');
        const request = `GET /_notary_server/v1/${rest} HTTP/1.1\r\nHost: a\r\n\r\n`;
        return verdictOverTcp(server.port, Buffer.from(request, 'latin1'));
      },
      close: () => server.close(),
    };
  },
};
