import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { redisOptions } from '@scrivener/signing/bullmq';
import { CA_FILE, FIXTURES } from '../../fixtures/certificates.ts';

/** A connection to the Redis of the stack, as our programs make it: TLS on both sides. */
export function benchRedis(port: number) {
  return redisOptions({
    hostname: '127.0.0.1',
    port,
    tls: {
      ca: readFileSync(CA_FILE),
      cert: readFileSync(join(FIXTURES, 'notary-server.crt')),
      key: readFileSync(join(FIXTURES, 'notary-server.key')),
    },
  });
}
