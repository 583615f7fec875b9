export {
  createQueueSigner,
  type QueueSigner,
  type QueueSignerOptions,
  type SigningHealth,
} from './queue-signer.ts';
export {
  parseRedisUrl,
  redisOptions,
  type RedisAddress,
  type RedisConnection,
} from './redis-options.ts';
export { serveSigner, type ServedSigner, type ServeOptions } from './serve-signer.ts';
