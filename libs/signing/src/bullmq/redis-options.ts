import type { ConnectionOptions } from 'node:tls';

/** Where the queue's Redis is, and how one gets in. */
export interface RedisAddress {
  readonly hostname: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly db?: number | undefined;
  readonly tls?: ConnectionOptions | undefined;
}

/** How every connection to the queue is made; from `redisOptions`. */
export type RedisConnection = ReturnType<typeof redisOptions>;

/**
 * Connection settings for everybody who speaks to the queue. A lost connection is tried again at
 * least twice a second, however long the outage has lasted: the first second after Redis is back
 * sees us back (the old server took minutes).
 */
export function redisOptions(address: RedisAddress) {
  const { hostname, port, username, password, db, tls } = address;
  return {
    host: hostname,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(db === undefined ? {} : { db }),
    ...(tls === undefined ? {} : { tls }),
    connectTimeout: 2_000,
    retryStrategy: (attempt: number) => Math.min(attempt * 50, 500),
    maxRetriesPerRequest: null, // BullMQ demands it of connections that block
  };
}

/** `redis://user:password@host:port/db` (or `rediss:`) in parts. */
export function parseRedisUrl(text: string): RedisAddress {
  const url = new URL(text);
  return {
    hostname: url.hostname,
    port: url.port === '' ? 6379 : Number(url.port),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(/^\/\d+$/.test(url.pathname) ? { db: Number(url.pathname.slice(1)) } : {}),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  };
}
