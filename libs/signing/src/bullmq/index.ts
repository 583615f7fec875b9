export { createJobKey, JobKeyError, parseJobKeys, type JobKeys } from '../job-keys.ts';
export { CLOCK_SKEW } from '../job-seal.ts';
export { JOB_REFUSALS, type JobRefusal } from '../jobs.ts';
export {
  createQueueSigner,
  type QueueDepth,
  type QueueSigner,
  type QueueSignerOptions,
  type SigningHealth,
} from './queue-signer.ts';
export type { WorkerState } from './pulse.ts';
export {
  parseRedisUrl,
  redisOptions,
  type RedisAddress,
  type RedisConnection,
} from './redis-options.ts';
export {
  serveSigner,
  type AnsweredJob,
  type ServedSigner,
  type ServeOptions,
} from './serve-signer.ts';
