import { firstPublish, gunOf } from '../../apps/api/src/testing/client.ts';
import { startTestServer } from '../../apps/api/src/testing/server.ts';
import type { Target } from '../target.ts';
import { verdictOverTcp } from './http-answers.ts';

/** Queries of the changefeed, over a socket, of one repository and of all. */
export const changefeed: Target = {
  name: 'changefeed',
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
    '100',
    '2147483647',
    '2147483648',
    '-2147483648',
    '%00',
  ],
  runs: 400,
  open: async () => {
    const server = await startTestServer();
    await firstPublish(server, gunOf('a/b'));
    return {
      run: (input) => {
        const query = Buffer.from(input)
          .toString('latin1')
          .replaceAll(/[\0-\x20\x7f]/g, '');
        const requests = ['/v2/_trust/changefeed', '/v2/a/b/_trust/changefeed'].map(
          (path) => `GET ${path}?${query} HTTP/1.1\r\nHost: a\r\n\r\n`,
        );
        return verdictOverTcp(server.port, Buffer.from(requests.join(''), 'latin1'));
      },
      close: () => server.close(),
    };
  },
};
