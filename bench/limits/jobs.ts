import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Queue, QueueEvents } from 'bullmq';
import type { Sample } from '../series.ts';
import { timed } from '../timed.ts';
import { benchRedis } from './redis.ts';

/** Round trips through a queue that does nothing: add, worker, result known to the asker. */
export interface JobLimit {
  /** The process that answers. */
  readonly workerPid: number;
  run(atATime: number, ms: number): Promise<Sample>;
  close(): Promise<void>;
}

export const ECHO_QUEUE = 'bench-echo';

/** About what is asked for a publish, in characters. */
const QUESTION = 'x'.repeat(1_000);

export async function openJobLimit(port: number): Promise<JobLimit> {
  const connection = benchRedis(port);
  const queue = new Queue(ECHO_QUEUE, {
    connection,
    // A job that is removed at once may be gone before its asker looks whether it has ended.
    defaultJobOptions: { removeOnComplete: { count: 1_000 }, removeOnFail: true },
  });
  queue.setMaxListeners(0); // each asker is one
  const events = new QueueEvents(ECHO_QUEUE, { connection, blockingTimeout: 2_000 });
  events.setMaxListeners(0);
  await events.waitUntilReady();
  const child = fork(join(import.meta.dirname, 'echo-worker.ts'), [String(port)], {
    stdio: 'inherit',
  });
  const ended = once(child, 'exit');
  await Promise.race([once(child, 'message'), ended]);
  return {
    workerPid: child.pid ?? 0,
    run: (atATime, ms) =>
      timed(
        Array.from({ length: atATime }, () => async () => {
          const job = await queue.add('echo', { text: QUESTION });
          await job.waitUntilFinished(events);
        }),
        ms,
      ),
    close: async () => {
      child.disconnect();
      await ended;
      await events.close();
      await queue.close();
    },
  };
}
