import { randomBytes } from 'node:crypto';
import type { Worker } from 'bullmq';
import { LONGEST_DEADLINE } from '../job-seal.ts';
import { SIGNING_QUEUE } from '../jobs.ts';

/*
 * Each asker has a stream in Redis, into which workers put the answers to its jobs. A job says by its id
 * whose it is, and the id is sealed with it. A job of an API of before says nothing of the kind; its
 * answer is the value that BullMQ keeps of it.
 */

/** Answers that nobody reads; of a living asker they are those of the time in which it was not connected. */
const MOST_UNREAD = 1_000;
/** How long a stream stays after its last answer, in milliseconds: nobody waits for longer. */
const KEPT_FOR = LONGEST_DEADLINE;

const ASKER = /\.(?<asker>[0-9a-f]{32})$/;

/** A name that nobody else has. */
export function newAsker(): string {
  return randomBytes(16).toString('hex');
}

/** The id of a job, by that of its question. BullMQ refuses colons and integers. */
export function jobIdOf(questionId: string, asker: string): string {
  return `${questionId}.${asker}`;
}

/** Who asked, or `undefined` where the answer is to be left with the job. */
export function askerOf(jobId: string): string | undefined {
  return ASKER.exec(jobId)?.groups?.['asker'];
}

/** The key of a stream; `prefix` as `queuePrefix` gives it. */
export function streamOf(prefix: string, asker: string): string {
  return `${prefix}:${SIGNING_QUEUE}:answers:${asker}`;
}

/** One command, so that no stream is there for a moment that would stay for ever. */
const PUT = {
  name: 'scrivenerPutAnswer',
  numberOfKeys: 1,
  lua: `
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ${MOST_UNREAD}, '*', 'job', ARGV[1], 'answer', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ${KEPT_FOR})`,
};

/**
 * How a worker puts answers into streams: by the connection by which it finishes its jobs, so that one
 * waits for Redis as long as the other. Resolves once the answer lies there.
 */
export function putsAnswers(
  worker: Worker,
  prefix: string,
): (asker: string, jobId: string, answer: object) => Promise<void> {
  const ready = (async () => {
    const client = await worker.getBackend().client;
    client.defineCommand(PUT.name, PUT);
    return client;
  })();
  ready.catch(() => {}); // it is closed before it was ever connected
  return async (asker, jobId, answer) => {
    const client = await ready;
    await client.runCommand(PUT.name, [streamOf(prefix, asker), jobId, JSON.stringify(answer)]);
  };
}

/** What an entry of a stream says, whoever put it there. */
export function readEntry(fields: readonly string[]): {
  readonly jobId: string | undefined;
  /** Neither opened nor parsed; `undefined` where it is no JSON. */
  readonly answer: unknown;
} {
  const [, jobId, , answer] = fields;
  return { jobId, answer: fromJson(answer) };
}

function fromJson(text = ''): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
