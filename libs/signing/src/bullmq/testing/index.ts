export { startRedisServer, type RedisServer } from './redis-server.ts';
export { testRedis, type TestRedis } from './redis.ts';
export { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
