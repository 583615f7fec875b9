import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PublicKey, ServerSignatures, SigningRequest } from '@scrivener/tuf';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { z } from 'zod';
import {
  createKeyJob,
  createKeyResult,
  jobId,
  QUEUE_PREFIX,
  SIGNING_QUEUE,
  signJob,
  signResult,
  type JobName,
  type Refusal,
} from '../jobs.ts';
import { SigningError, type CreateKeyRequest, type Signer } from '../signer.ts';
import { Answers, type Outcome } from './answers.ts';
import type { RedisConnection } from './redis-options.ts';
import { withoutRepeats } from './without-repeats.ts';

export interface QueueSignerOptions {
  readonly redis: RedisConnection;
  /** Of all the queue's keys in Redis; where several installations share one. */
  readonly prefix?: string | undefined;
  /** How long one question may take in all, in milliseconds; 8 s if not said. */
  readonly deadline?: number;
  /** Told once of each connection trouble, which is otherwise dealt with in silence. */
  readonly onError?: (error: Error) => void;
}

/** What a health route wants to know. */
export interface SigningHealth {
  /** Redis answers. */
  readonly queue: boolean;
  /** Worker processes that are connected to the queue. */
  readonly workers: number;
}

/** A `Signer` behind the queue. */
export interface QueueSigner extends Signer {
  /** Asks Redis now; answers within 2 s whatever happens, and never throws. */
  health(): Promise<SigningHealth>;
}

const DEADLINE = 8_000;
/** A question is put again after this long without an answer: Redis may have forgotten it. */
const ASK_AGAIN_AFTER = 2_000;
/** Pause while Redis cannot be reached. */
const RECONNECT_PAUSE = 100;
/** One command to Redis; a Redis that hangs must not hang us. */
const COMMAND_TIMEOUT = 2_000;

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
  readonly #redis: Redis;
  readonly #queue: Queue;
  readonly #answers: Answers;

  constructor({
    redis,
    prefix = QUEUE_PREFIX,
    deadline = DEADLINE,
    onError = () => {},
  }: QueueSignerOptions) {
    this.#deadline = deadline;
    const tell = withoutRepeats(onError);
    // Commands fail at once while Redis is away. Were they kept, a thousand questions that nobody
    // waits for any longer would be put the moment it is back.
    this.#redis = new Redis({
      ...redis,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: COMMAND_TIMEOUT,
    });
    this.#redis.on('error', tell);
    this.#queue = new Queue(SIGNING_QUEUE, {
      connection: this.#redis,
      prefix,
      skipVersionCheck: true, // a check that fails once would fail this queue for good
      defaultJobOptions: JOB_OPTIONS,
    });
    this.#queue.on('error', tell);
    this.#answers = new Answers({ clock: this.#redis, connection: redis, prefix, onError: tell });
  }

  async createKey(request: CreateKeyRequest): Promise<PublicKey> {
    const data = encode(createKeyJob, request);
    // Each call is a question of its own, for an earlier answer may be a key that has signed since.
    const id = jobId('create-key', JSON.stringify(data), randomUUID());
    const answer = parse(createKeyResult, await this.#ask('create-key', id, data));
    if (!answer.ok) throw refused(answer);
    if (answer.keytype !== request.algorithm) throw unintelligible();
    return { keytype: answer.keytype, public: answer.public };
  }

  async sign(request: SigningRequest): Promise<ServerSignatures> {
    const data = encode(signJob, request);
    const id = jobId('sign', JSON.stringify(data));
    const answer = parse(signResult, await this.#ask('sign', id, data));
    if (!answer.ok) throw refused(answer);
    const { ok: _, ...signatures } = answer;
    if (!answers(request, signatures)) throw unintelligible();
    return signatures;
  }

  async health(): Promise<SigningHealth> {
    try {
      if (this.#redis.status !== 'ready') return { queue: false, workers: 0 };
      return { queue: true, workers: await this.#queue.getWorkersCount() };
    } catch {
      return { queue: false, workers: 0 };
    }
  }

  async close(): Promise<void> {
    await this.#answers.close();
    await this.#queue.close();
    this.#redis.disconnect();
  }

  /** The answer to a question, or `UNAVAILABLE` when the deadline has passed. */
  async #ask(name: JobName, id: string, data: object): Promise<unknown> {
    const over = new AbortController();
    const { promise: answered, resolve } = Promise.withResolvers<Outcome>();
    const stop = this.#answers.listen(id, resolve);
    void this.#keepAsking(name, id, data, over.signal);
    try {
      const late = delay(this.#deadline, undefined, { signal: over.signal });
      const outcome = await Promise.race([answered, late]);
      if (outcome !== undefined) return value(outcome);
      void this.#queue.remove(id).catch(() => {}); // or a worker back from the dead would do it
      throw new SigningError('UNAVAILABLE', 'no signer answered in time');
    } finally {
      stop();
      over.abort();
    }
  }

  /** Puts a question again and again until `over`. Twice does no harm: it has the same id. */
  async #keepAsking(name: JobName, id: string, data: object, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      const pause = (await this.#put(name, id, data)) ? ASK_AGAIN_AFTER : RECONNECT_PAUSE;
      await delay(pause, undefined, { signal: over }).catch(() => {});
    }
  }

  /** Whether the question stands in the queue now. */
  async #put(name: JobName, id: string, data: object): Promise<boolean> {
    if (this.#redis.status !== 'ready') return false;
    try {
      await this.#queue.add(name, data, { jobId: id });
      return true;
    } catch {
      return false;
    }
  }
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

function value(outcome: Outcome): unknown {
  if ('value' in outcome) return outcome.value;
  throw new SigningError('UNAVAILABLE', 'the signer failed', { cause: new Error(outcome.failure) });
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
