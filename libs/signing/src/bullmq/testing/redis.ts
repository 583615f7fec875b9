import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { parseRedisUrl, redisOptions, type RedisConnection } from '../redis-options.ts';

/** The Redis of `REDIS_URL`, with a corner of its own for each test. */
export interface TestRedis {
  readonly redis: RedisConnection;
  readonly prefix: string;
  /** Forgets everything in that corner, as an emptied Redis does. */
  empty(): Promise<void>;
}

export function testRedis(): TestRedis {
  const url = process.env['REDIS_URL'];
  if (url === undefined) throw new Error('REDIS_URL is not set: run these through npm test');
  const redis = redisOptions(parseRedisUrl(url));
  const prefix = `test-${randomUUID()}`;
  return {
    redis,
    prefix,
    empty: async () => {
      const client = new Redis(redis);
      const keys = await client.keys(`${prefix}:*`);
      if (keys.length > 0) await client.del(...keys);
      client.disconnect();
    },
  };
}
