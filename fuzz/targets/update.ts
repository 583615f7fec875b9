import { firstPublish, formOf, gunOf } from '../../apps/api/src/testing/client.ts';
import { startTestServer } from '../../apps/api/src/testing/server.ts';
import type { Target } from '../target.ts';
import { verdictOverTcp } from './http-answers.ts';

/** Forms posted to a repository that is there, over a socket. */
export const update: Target = {
  name: 'update',
  words: [
    '--form\r\n',
    '--form--\r\n',
    '\r\n',
    'Content-Disposition: form-data; name="files"; filename="root"\r\n\r\n',
    'filename="targets/a"',
    '{"signed":',
    '"signatures":[]}',
    '{}',
    'null',
    '"version":2',
    ']',
    '}',
    ',',
  ],
  runs: 400,
  open: async () => {
    const server = await startTestServer();
    const owner = await firstPublish(server, gunOf('a/b'));
    owner.delegate('targets/a');
    const forms = [
      [owner.targets({ next: 'content' }), owner.delegation('targets/a')],
      [owner.root()],
      [],
    ].map((parts) => Buffer.from(formOf(parts).body ?? ''));
    return {
      seeds: forms,
      run: (input) => {
        const head = [
          'POST /v2/a/b/_trust/tuf/ HTTP/1.1',
          'Host: a',
          'Content-Type: multipart/form-data; boundary=form',
          `Content-Length: ${input.length}`,
        ];
        const request = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), input]);
        return verdictOverTcp(server.port, request);
      },
      close: () => server.close(),
    };
  },
};
