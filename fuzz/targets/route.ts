import { firstPublish, gunOf } from '../../apps/api/src/testing/client.ts';
import { startTestServer } from '../../apps/api/src/testing/server.ts';
import type { Target } from '../target.ts';
import { verdictOverTcp } from './http-answers.ts';

/** `METHOD target`, and behind a line end the body: a well-formed request for any route. */
export const route: Target = {
  name: 'route',
  words: [
    'GET ',
    'POST ',
    'DELETE ',
    'HEAD ',
    'PUT ',
    '/v2/',
    'a/b',
    '/_trust/tuf/',
    '/_trust/changefeed',
    '?records=',
    'root',
    'targets',
    'snapshot',
    'timestamp',
    '.json',
    '.key',
    '1.',
    '/_notary_server/health',
    '/metrics',
    '/_notary_server/v1/expiring?within=',
    '%00',
    '%ff',
    '%ed%a0%80',
    '%0a',
    'x'.repeat(300),
    `.${'0'.repeat(64)}.json`,
  ],
  runs: 300,
  open: async () => {
    const server = await startTestServer();
    await firstPublish(server, gunOf('a/b'));
    return {
      run: (input) => verdictOverTcp(server.port, requestOf(input)),
      close: () => server.close(),
    };
  },
};

function requestOf(input: Uint8Array): Buffer {
  const text = Buffer.from(input).toString('latin1');
  const end = text.indexOf('\n');
  const line = end === -1 ? text : text.slice(0, end);
  const body = end === -1 ? '' : text.slice(end + 1);
  const [method = '', ...rest] = line.split(' ');
  const verb = method.replaceAll(/[^A-Z]/g, '') || 'GET';
  const target = rest.join('%20').replaceAll(/[\0-\x20\x7f]/g, '') || '/';
  const head = `${verb} ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body, 'latin1');
}
