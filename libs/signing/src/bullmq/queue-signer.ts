import { randomUUID } from 'node:crypto';
import type { PublicKey, ServerSignatures, SigningRequest } from '@scrivener/tuf';
import { Queue, type JobsOptions } from 'bullmq';
import { z } from 'zod';
import type { JobKeys } from '../job-keys.ts';
import { CLOCK_SKEW, LONGEST_DEADLINE, openAnswer, sealJob, type SealedJob } from '../job-seal.ts';
import {
  createKeyJob,
  createKeyResult,
  failedJob,
  MOST_TOGETHER,
  probeResult,
  QUEUE_PREFIX,
  refusalOfJob,
  SIGNING_QUEUE,
  signJob,
  signResult,
  type FailedJob,
  type JobName,
  type ProbeResult,
  type Refusal,
} from '../jobs.ts';
import { SigningError, type CreateKeyRequest, type Signer } from '../signer.ts';
import { asking } from '../trace.ts';
import { jobIdOf } from './answer-stream.ts';
import { Answers } from './answers.ts';
import { Pulse, type WorkerState } from './pulse.ts';
import { connect, queuePrefix, type RedisClient, type RedisConnection } from './redis-options.ts';
import { askTogether, type Question } from './together.ts';
import { withoutRepeats } from './without-repeats.ts';

export interface QueueSignerOptions {
  readonly redis: RedisConnection;
  /** Of all the queue's keys in Redis; where several installations share one. */
  readonly prefix?: string | undefined;
  /** Shared with the workers: answers of nobody else are believed. */
  readonly keys: JobKeys;
  /** How long one question may take in all, in milliseconds, up to 60 s; 8 s if not said. */
  readonly deadline?: number;
  /** Questions that share a job, at most: 64 if not said, and one job for each with 1. */
  readonly mostTogether?: number;
  /**
   * Told once of each trouble that is otherwise dealt with in silence: with the connection, or with
   * answers and refusals that show that somebody meddles, or that the keys or clocks differ.
   */
  readonly onError?: (error: Error) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** What a health route wants to know. */
export interface SigningHealth {
  /** Redis answers. */
  readonly queue: boolean;
  /** Worker processes that are connected to the queue. */
  readonly workers: number;
  /** Whether they work. */
  readonly state: WorkerState;
}

/** How many jobs are in which state. */
export interface QueueDepth {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** A `Signer` behind the queue. */
export interface QueueSigner extends Signer {
  /** Asks Redis now; answers within 2 s whatever happens, and never throws. */
  health(): Promise<SigningHealth>;
  /** Asks Redis now; rejects within 2 s where it cannot be asked. */
  depth(): Promise<QueueDepth>;
}

const DEADLINE = 8_000;
/** A question is put again after this long without an answer: Redis may have forgotten it. */
const ASK_AGAIN_AFTER = 2_000;
/** Pause while Redis cannot be reached. */
const RECONNECT_PAUSE = 100;
/** One command to Redis; a Redis that hangs must not hang us. */
const COMMAND_TIMEOUT = 2_000;

/** How long a worker is given to say that it is there. */
const PROBE_DEADLINE = 1_500;
const NOBODY = { queue: false, workers: 0, state: 'silent' } as const;

/** A worker's trouble with its database may pass: four tries in some three seconds. */
const JOB_OPTIONS = {
  attempts: 4,
  backoff: { type: 'fixed', delay: 1_000 },
  removeOnComplete: true,
  removeOnFail: true,
  stackTraceLimit: 0,
} as const;

/**
 * Asks signer workers through the queue. Nothing here needs Redis to be there: a question that
 * cannot be put or is not answered before its deadline throws `UNAVAILABLE`.
 */
export function createQueueSigner(options: QueueSignerOptions): QueueSigner {
  return new BullmqSigner(options);
}

class BullmqSigner implements QueueSigner {
  readonly #deadline: number;
  readonly #keys: JobKeys;
  readonly #now: () => number;
  readonly #tell: (error: Error) => void;
  readonly #redis: RedisClient;
  readonly #queue: Queue;
  readonly #answers: Answers;
  readonly #pulse = new Pulse(() => this.#probe());
  readonly #together: (question: Question) => Promise<unknown>;
  /** Signatures that are asked for now, by what is asked. */
  readonly #signing = new Map<string, Promise<unknown>>();

  constructor({
    redis,
    prefix: name = QUEUE_PREFIX,
    keys,
    deadline = DEADLINE,
    mostTogether = MOST_TOGETHER,
    onError = () => {},
    now = Date.now,
  }: QueueSignerOptions) {
    if (deadline > LONGEST_DEADLINE) {
      throw new RangeError(`no question may take longer than ${LONGEST_DEADLINE} ms`);
    }
    this.#deadline = deadline;
    this.#together = askTogether((...job) => this.#answer(...job), mostTogether);
    this.#keys = keys;
    this.#now = now;
    this.#tell = withoutRepeats(onError);
    const tell = this.#tell;
    const prefix = queuePrefix(redis, name);
    // Commands fail at once while Redis is away. Were they kept, a thousand questions that nobody
    // waits for any longer would be put the moment it is back.
    this.#redis = connect(redis, { impatientAfter: COMMAND_TIMEOUT });
    this.#redis.on('error', tell);
    this.#queue = new Queue(SIGNING_QUEUE, {
      connection: this.#redis,
      prefix,
      skipVersionCheck: true, // a check that fails once would fail this queue for good
      defaultJobOptions: JOB_OPTIONS,
    });
    this.#queue.on('error', tell);
    this.#answers = new Answers({ connection: redis, prefix, onError: tell });
  }

  async createKey(request: CreateKeyRequest): Promise<PublicKey> {
    const data = encode(createKeyJob, request);
    // Each call is a question of its own, for an earlier answer may be a key that has signed since.
    const { length } = JSON.stringify(data);
    const answer = parse(createKeyResult, await this.#ask('create-key', data, length));
    if (!answer.ok) throw refused(answer);
    if (answer.keytype !== request.algorithm) throw unintelligible();
    return { keytype: answer.keytype, public: answer.public };
  }

  async sign(request: SigningRequest): Promise<ServerSignatures> {
    const data = encode(signJob, request);
    const text = JSON.stringify(data);
    const asked = this.#signing.get(text) ?? this.#ask('sign', data, text.length);
    this.#signing.set(text, asked);
    const answer = parse(signResult, await asked.finally(() => this.#signing.delete(text)));
    if (!answer.ok) throw refused(answer);
    const { ok: _, ...signatures } = answer;
    if (!answers(request, signatures)) throw unintelligible();
    return signatures;
  }

  async health(): Promise<SigningHealth> {
    try {
      if (this.#redis.status !== 'ready') return NOBODY;
      const [workers, state] = await Promise.all([
        this.#queue.getWorkersCount(),
        this.#pulse.state(),
      ]);
      return { queue: true, workers, state };
    } catch {
      return NOBODY;
    }
  }

  /** It goes ahead of the jobs that wait. */
  async #probe(): Promise<ProbeResult> {
    const options = { lifo: true, attempts: 1 };
    const answer = await this.#answer('probe', newId('probe'), {}, options, PROBE_DEADLINE);
    // A worker of an older version knows no probes, and says so: it is there.
    return probeResult.safeParse(answer).data ?? { ok: true, keys: true };
  }

  async depth(): Promise<QueueDepth> {
    if (this.#redis.status !== 'ready') throw new Error('Redis cannot be reached');
    const counts = await this.#queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
    const { waiting = 0, active = 0, delayed = 0, failed = 0 } = counts;
    return { waiting, active, delayed, failed };
  }

  async close(): Promise<void> {
    this.#answers.close();
    await this.#queue.close();
    this.#redis.disconnect();
  }

  #ask(name: Question['name'], data: object, size: number): Promise<unknown> {
    const id = newId(name);
    const until = performance.now() + this.#deadline;
    return asking(name, { 'messaging.message.id': id }, (carrier) =>
      this.#together({ name, id, data, size, carrier, until }),
    );
  }

  /** The answer to a question, or `UNAVAILABLE` when the deadline has passed. */
  async #answer(
    name: JobName,
    questionId: string,
    data: object,
    extra: JobsOptions,
    deadline: number,
  ): Promise<unknown> {
    const id = jobIdOf(questionId, this.#answers.asker);
    const expires = this.#now() + Math.ceil(deadline) + CLOCK_SKEW;
    const put = () => this.#put(name, id, sealJob(this.#keys, { id, name }, data, expires), extra);
    const { promise: answered, resolve, reject } = Promise.withResolvers<unknown>();
    let trouble: string | undefined;
    const stop = this.#answers.listen(id, (answer) => {
      const heard = this.#hear(id, answer);
      if ('failure' in heard) {
        reject(failed(heard.failure));
        return;
      }
      if ('answer' in heard) {
        resolve(heard.answer);
        return;
      }
      this.#tell(new Error(heard.trouble));
      if (trouble === undefined) void put(); // once: who makes such trouble can do so for ever
      ({ trouble } = heard);
    });
    const stopAsking = keepAsking(put);
    const timer = setTimeout(() => {
      void this.#queue.remove(id).catch(() => {}); // or a worker back from the dead would do it
      reject(new SigningError('UNAVAILABLE', trouble ?? 'no signer answered in time'));
    }, deadline);
    try {
      return await answered;
    } finally {
      clearTimeout(timer);
      stopAsking();
      stop();
    }
  }

  /**
   * What a worker said. What no worker said is passed over, for the true answer may come yet; and so
   * is the news that a job was not accepted, for it may be one that somebody else left under this id.
   */
  #hear(
    id: string,
    value: unknown,
  ): { readonly answer: unknown } | FailedJob | { readonly trouble: string } {
    const opened = openAnswer(this.#keys, id, value);
    if (opened === undefined)
      return { trouble: 'an answer came that no holder of the job key gave' };
    const refusal = refusalOfJob(opened.answer);
    if (refusal !== undefined) return { trouble: `signers do not accept our job: ${refusal}` };
    return failedJob.safeParse(opened.answer).data ?? opened;
  }

  /** Whether the question stands in the queue now. */
  async #put(name: JobName, id: string, job: SealedJob, extra: JobsOptions): Promise<boolean> {
    if (this.#redis.status !== 'ready') return false;
    try {
      await this.#queue.add(name, job, { jobId: id, ...extra });
      return true;
    } catch {
      return false;
    }
  }
}

/** No id comes twice, so that no answer of before is taken for one of now. */
function newId(name: JobName): string {
  return `${name}-${randomUUID()}`;
}

function encode<Schema extends z.ZodType>(schema: Schema, value: z.output<Schema>): object {
  const encoded = z.safeEncode(schema, value);
  if (encoded.success) return z.looseObject({}).parse(encoded.data);
  throw new SigningError('REFUSED', 'not a request that can be signed', { cause: encoded.error });
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw unintelligible(parsed.error);
  return parsed.data;
}

/** Puts a question again and again until stopped. Twice does no harm: it has the same id. */
function keepAsking(put: () => Promise<boolean>): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const ask = async () => {
    const pause = (await put()) ? ASK_AGAIN_AFTER : RECONNECT_PAUSE;
    if (!stopped) timer = setTimeout(() => void ask(), pause);
  };
  void ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function failed(reason: string): SigningError {
  return new SigningError('UNAVAILABLE', 'the signer failed', { cause: new Error(reason) });
}

function refused({ code, message }: Refusal): SigningError {
  return new SigningError(code, message);
}

function unintelligible(cause?: Error): SigningError {
  return new SigningError('UNAVAILABLE', 'the signer gave an unintelligible answer', { cause });
}

/** One signature for each key asked for, in the order asked. */
function answers(request: SigningRequest, signatures: ServerSignatures): boolean {
  const asked = [request.snapshot?.keyids ?? [], request.timestamp.keyids];
  const given = [signatures.snapshot ?? [], signatures.timestamp];
  return asked.every(
    (keyids, role) =>
      keyids.length === given[role]?.length &&
      keyids.every((keyid, at) => given[role]?.[at]?.keyid === keyid),
  );
}
