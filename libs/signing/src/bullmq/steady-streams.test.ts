import { once } from 'node:events';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
// oxlint-disable-next-line import/no-unassigned-import -- it mends ioredis
import './steady-streams.ts';

test.each<[string, object]>([
  ['to a server', { port: 1 }],
  ['that speaks TLS', { port: 1, tls: {} }],
])('a second error of a connection %s ends no process', async (_, address) => {
  const redis = new Redis({ host: '127.0.0.1', ...address, lazyConnect: true });
  redis.on('error', () => {});
  const failed = once(redis, 'error');
  redis.connect().catch(() => {});
  await failed;

  const { stream } = redis;

  expect(() => stream.emit('error', new Error('one more'))).not.toThrow();
  redis.disconnect();
});
