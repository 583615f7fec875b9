import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { SIGNING_QUEUE } from '../jobs.ts';
import { connectionOf, type RedisClient, type RedisConnection } from './redis-options.ts';

/** How a job ended. The value comes from outside: it is neither opened nor parsed yet. */
export type Outcome = { readonly value: unknown } | { readonly failure: string };

export interface AnswersOptions {
  /** Asked for Redis' time, and nothing else. */
  readonly clock: RedisClient;
  /** How to make the connection that reads. */
  readonly connection: RedisConnection;
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

type Listener = (outcome: Outcome) => void;

/** Pause before the event stream is opened anew, in milliseconds. */
const REOPEN_AFTER = 250;
/** Where reading begins, in seconds before now: questions may have been put already. */
const LOOK_BACK = 10;
/** How long one read of the stream waits; a dead connection is noticed a second later. */
const READ_TIME = 2_000;
/**
 * A connection that is away for so long is not waited for any longer, in milliseconds. It may never come back:
 * BullMQ cuts it when a read is late, and where it breaks at that very moment, as all timers of a process run out
 * that was stopped for some seconds, nobody connects it again.
 */
const AWAY = 3_000;
/** How long a tidy close may take; Redis may be gone. */
const CLOSE_TIME = 500;

/**
 * The answers that workers give, by job id. The answer is taken from the event itself: a finished
 * job is gone from Redis at once, and whoever looks for it afterwards may find nothing.
 *
 * Reading starts a little before Redis' present time and goes on from the last event read, also
 * across lost connections, so that nothing said after `listen` was registered is missed. What Redis
 * itself forgets (a restart) is lost: who waits has to ask again.
 */
export class Answers {
  readonly #source: AnswersOptions;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #closing = new AbortController();
  #events: QueueEvents | undefined;
  #lookBack = LOOK_BACK;

  constructor(source: AnswersOptions) {
    this.#source = source;
    void this.#run();
  }

  /** Calls `listener` when the job ends; the function returned stops that. */
  listen(jobId: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(jobId) ?? new Set();
    this.#listeners.set(jobId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(jobId) === listeners) {
        this.#listeners.delete(jobId);
      }
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#events !== undefined) await closeEvents(this.#events);
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        await this.#read();
      } catch (error) {
        // Whatever cannot be read would be met again, for as long as one looks back to it.
        this.#lookBack = error instanceof SyntaxError ? 0 : LOOK_BACK;
        if (!this.#closing.signal.aborted) this.#source.onError(asError(error));
      }
      await delay(REOPEN_AFTER, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  async #read(): Promise<void> {
    const { clock, prefix, onError } = this.#source;
    const { signal } = this.#closing;
    if (clock.status !== 'ready') await once(clock, 'ready', { signal });
    const [seconds] = await clock.time();
    if (signal.aborted) return;
    const connection = connectionOf(this.#source.connection);
    const events = new QueueEvents(SIGNING_QUEUE, {
      connection: connection.client,
      prefix,
      autorun: false,
      lastEventId: `${(Number(seconds) - this.#lookBack) * 1_000}-0`,
      blockingTimeout: READ_TIME,
      skipVersionCheck: true, // a check that fails once would fail this connection for good
    });
    events.on('error', onError);
    events.on('completed', ({ jobId, returnvalue }) => this.#tell(jobId, { value: returnvalue }));
    events.on('failed', ({ jobId, failedReason }) => this.#tell(jobId, { failure: failedReason }));
    this.#events = events;
    try {
      await Promise.race([events.run(), lost(events)]);
    } finally {
      await closeEvents(events);
      connection.release();
    }
  }

  #tell(jobId: string, outcome: Outcome): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener(outcome);
  }
}

/** Rejects when the connection has been away for too long. */
function lost(events: QueueEvents): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  events.on('ioredis:close', () => {
    timer ??= setTimeout(
      () => reject(new Error('the connection that reads answers was lost')),
      AWAY,
    ).unref();
  });
  events.getBackend().on('ready', () => {
    clearTimeout(timer);
    timer = undefined;
  });
  return promise;
}

/** BullMQ's own close waits for ever where Redis is gone; after a while we just cut the line. */
async function closeEvents(events: QueueEvents): Promise<void> {
  const closed = events.close().then(
    () => true,
    () => false,
  );
  const tidy = await Promise.race([closed, delay(CLOSE_TIME, false)]);
  if (!tidy) await Promise.race([events.getBackend().close(true), delay(CLOSE_TIME)]);
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
