import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createJobKey, parseJobKeys, type JobKeys } from '../../job-keys.ts';
import { parseRedisUrl, serverConnection, type ServerConnection } from '../redis-options.ts';

/** The Redis of `REDIS_URL`, with a corner of its own for each test. */
export interface TestRedis {
  readonly redis: ServerConnection;
  readonly prefix: string;
  /** What a file of job keys holds. */
  readonly jobKey: string;
  /** The same, parsed. */
  readonly keys: JobKeys;
  /** Forgets everything in that corner, as an emptied Redis does. */
  empty(): Promise<void>;
}

export function testRedis(): TestRedis {
  const url = process.env['REDIS_URL'];
  if (url === undefined) throw new Error('REDIS_URL is not set: run these through npm test');
  const redis = serverConnection(parseRedisUrl(url));
  const prefix = `test-${randomUUID()}`;
  const jobKey = createJobKey();
  return {
    redis,
    prefix,
    jobKey,
    keys: parseJobKeys(jobKey),
    empty: async () => {
      const client = new Redis(redis);
      const keys = await client.keys(`${prefix}:*`);
      if (keys.length > 0) await client.del(...keys);
      client.disconnect();
    },
  };
}
