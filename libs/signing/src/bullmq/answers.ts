import { setTimeout as delay } from 'node:timers/promises';
import { newAsker, readEntry, streamOf } from './answer-stream.ts';
import { connectPatiently, type RedisClient, type RedisConnection } from './redis-options.ts';

export interface AnswersOptions {
  /** How to make the connection that reads. */
  readonly connection: RedisConnection;
  /** As `queuePrefix` gives it. */
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

/** Is told what comes as the answer to a job, from outside: it is neither opened nor parsed yet. */
type Listener = (answer: unknown) => void;

/** Pause before the stream is read anew after a trouble, in milliseconds. */
const READ_AGAIN_AFTER = 250;
/** How long one read of the stream waits. */
const READ_TIME = 2_000;

/**
 * The answers that workers give to one asker, by job id. They come by a stream of its own, each with one
 * message to nobody else, and as soon as a worker has it: BullMQ finishes the job behind it.
 *
 * Reading goes on from the last entry read, also across lost connections, so that nothing said after
 * `listen` is missed. Where Redis forgets the stream (a restart, a successor that did not have it), the next one
 * may have smaller numbers, by another clock: who waited in vain for a while therefore reads from the
 * beginning. Entries come twice then, which nobody listens to any longer, for no id does. What Redis itself
 * forgets is lost: who waits has to ask again.
 */
export class Answers {
  /** Whose answers these are. */
  readonly asker = newAsker();
  readonly #source: AnswersOptions;
  readonly #listeners = new Map<string, Listener>();
  readonly #closing = new AbortController();
  #client: RedisClient | undefined;

  constructor(source: AnswersOptions) {
    this.#source = source;
    void this.#run();
  }

  /** Calls `listener` with each answer to that job; the function returned stops that. */
  listen(jobId: string, listener: Listener): () => void {
    this.#listeners.set(jobId, listener);
    return () => this.#listeners.delete(jobId);
  }

  close(): void {
    this.#closing.abort();
    this.#client?.disconnect();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { connection, onError } = this.#source;
    while (!signal.aborted) {
      const client = connectPatiently(connection);
      client.on('error', onError);
      this.#client = client;
      try {
        await this.#read(client);
      } catch (error) {
        if (!signal.aborted) onError(asError(error));
      }
      client.disconnect();
      await delay(READ_AGAIN_AFTER, undefined, { signal }).catch(() => {});
    }
  }

  /** Until it fails. A connection that is lost, or silent for too long, is made anew by the client itself. */
  async #read(client: RedisClient): Promise<never> {
    const stream = streamOf(this.#source.prefix, this.asker);
    let last = '0';
    for (;;) {
      const read = await client.xread('BLOCK', READ_TIME, 'STREAMS', stream, last);
      if (read === null && this.#listeners.size > 0) last = '0';
      for (const [id, fields] of read?.[0]?.[1] ?? []) {
        last = id;
        const { jobId, answer } = readEntry(fields);
        if (jobId !== undefined) this.#listeners.get(jobId)?.(answer);
      }
    }
  }
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
