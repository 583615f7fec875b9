// Answers the jobs of jobs.ts with what they ask. A process of its own, as a signer worker is.

import { Worker } from 'bullmq';
import { ECHO_QUEUE } from './jobs.ts';
import { benchRedis } from './redis.ts';

const CONCURRENCY = 64;

const worker = new Worker<{ readonly text: string }, string>(
  ECHO_QUEUE,
  async ({ data }) => data.text,
  {
    connection: benchRedis(Number(process.argv[2])),
    concurrency: CONCURRENCY,
    drainDelay: 1, // as a signer worker: its connections take longer silence for the end
  },
);
await worker.waitUntilReady();
process.send?.('ready');
process.on('disconnect', () => process.exit(0));
