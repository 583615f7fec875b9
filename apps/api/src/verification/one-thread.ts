import { Worker } from 'node:worker_threads';
import { Overloaded } from '../admission/admission.ts';
import { Unavailable } from '../errors.ts';
import type { Task, Told } from './messages.ts';

export interface ThreadLimits {
  /** Tasks that wait for others to end. */
  readonly waiting: number;
  /** How long one task may take, in milliseconds. */
  readonly taskMs: number;
  /** How long the thread is kept without a task, in milliseconds, for its memory. */
  readonly idleMs: number;
  /** What its objects may take, in MiB. */
  readonly heapMb: number;
}

/**
 * Asks the thread to do a task, and gives its answer; one task at a time. Throws
 * `Overloaded` where too many wait, and `Unavailable` where the thread needed too much time or memory
 * or failed: that one is ended, whatever it does, and the next task gets a new one.
 */
export function createThread({
  waiting,
  taskMs,
  idleMs,
  heapMb,
}: ThreadLimits): (task: Task) => Promise<Told<unknown>> {
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let asked = 0;

  const start = (): Worker => {
    const started = new Worker(new URL('thread.ts', import.meta.url), {
      execArgv: [], // telemetry is the process's business
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    started.unref(); // it keeps no process alive
    started.on('exit', () => {
      if (worker === started) worker = undefined;
    });
    started.on('error', () => {}); // whoever waits for an answer hears of it
    return started;
  };

  const end = async (): Promise<void> => {
    const ending = worker;
    worker = undefined;
    await ending?.terminate();
  };

  const perform = async (task: Task): Promise<Told<unknown>> => {
    clearTimeout(idle);
    worker ??= start();
    try {
      return await answerOf(worker, task, taskMs);
    } catch (error) {
      await end();
      throw error;
    } finally {
      idle = setTimeout(() => void end(), idleMs).unref();
    }
  };

  return async (task) => {
    if (asked > waiting) throw new Overloaded(`${waiting} large files are waiting`);
    asked += 1;
    const answer = last.then(() => perform(task));
    last = answer.catch(() => {});
    try {
      return await answer;
    } finally {
      asked -= 1;
    }
  };
}

async function answerOf(worker: Worker, task: Task, taskMs: number): Promise<Told<unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Told<unknown>>();
  const onError = (cause: unknown) => reject(new Unavailable('the thread failed', { cause }));
  const onExit = () => reject(new Unavailable('the thread ended'));
  const timer = setTimeout(() => reject(new Unavailable(`not done in ${taskMs} ms`)), taskMs);
  worker.once('message', resolve).once('error', onError).once('exit', onExit);
  worker.postMessage(task);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    worker.off('message', resolve).off('error', onError).off('exit', onExit);
  }
}
