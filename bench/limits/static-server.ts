// The least that Node.js can do: `node:https`, answering from a Map. A process of its own.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { FIXTURES } from '../../fixtures/certificates.ts';
import { readAnswers } from './answers.ts';

const [file = ''] = process.argv.slice(2);
const answers = new Map(
  readAnswers(file).map(({ path, headers, body }) => [path, { headers: headers.flat(), body }]),
);
const server = createServer(
  {
    cert: readFileSync(join(FIXTURES, 'notary-server.crt')),
    key: readFileSync(join(FIXTURES, 'notary-server.key')),
    minVersion: 'TLSv1.2',
  },
  (request, response) => {
    const answer = answers.get(request.url ?? '');
    if (answer === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, answer.headers);
    response.end(answer.body);
  },
);
server.listen(0, '127.0.0.1', () => {
  process.send?.((server.address() as AddressInfo).port);
});
process.on('disconnect', () => process.exit(0));
