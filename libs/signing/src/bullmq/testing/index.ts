export { testRedis, type TestRedis } from './redis.ts';
export { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
