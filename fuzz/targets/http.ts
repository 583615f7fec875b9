import { startTestServer } from '../../apps/api/src/testing/server.ts';
import type { Target } from '../target.ts';
import { verdictOverTcp } from './http-answers.ts';

/** Any bytes on a connection to the server. */
export const http: Target = {
  name: 'http',
  words: [
    'GET ',
    'POST ',
    'HEAD ',
    'DELETE ',
    'OPTIONS * ',
    '/v2/',
    ' HTTP/1.1\r\n',
    ' HTTP/1.0\r\n',
    ' HTTP/2.0\r\n',
    'Host: a\r\n',
    'Content-Length: ',
    'Transfer-Encoding: chunked\r\n',
    'Expect: 100-continue\r\n',
    'Connection: close\r\n',
    '\r\n\r\n',
    '0\r\n\r\n',
    '5\r\n',
    ': ',
    '\t',
    'PRI * HTTP/2.0',
  ],
  runs: 300,
  open: async () => {
    const server = await startTestServer();
    return {
      run: (input) => verdictOverTcp(server.port, input),
      close: () => server.close(),
    };
  },
};
