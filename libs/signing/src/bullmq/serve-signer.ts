import { setTimeout as delay } from 'node:timers/promises';
import { Worker, type Job } from 'bullmq';
import type { JobKeys } from '../job-keys.ts';
import {
  openJob,
  sealAnswer,
  type JobPlace,
  type OpenedJob,
  type SealedAnswer,
} from '../job-seal.ts';
import {
  batchJob,
  createKeyJob,
  malformed,
  notAccepted,
  QUEUE_PREFIX,
  SIGNING_QUEUE,
  signJob,
  type BatchedQuestion,
  type BatchResult,
  type CreateKeyResult,
  type FailedJob,
  type JobRefusal,
  type ProbeResult,
  type Refusal,
  type SignResult,
} from '../jobs.ts';
import { SigningError, type Signer } from '../signer.ts';
import { SpentJobs } from '../spent-jobs.ts';
import { answering, type Carrier } from '../trace.ts';
import { askerOf, putsAnswers } from './answer-stream.ts';
import { connectionOf, queuePrefix, type RedisConnection } from './redis-options.ts';
import { carrierOf } from './trace.ts';
import { withoutRepeats } from './without-repeats.ts';

export interface ServeOptions {
  /** Who does the work. */
  readonly signer: Pick<Signer, 'createKey' | 'sign'>;
  /** Rejects where the keys cannot be reached now; those who ask for health are told. */
  readonly check?: () => Promise<void>;
  readonly redis: RedisConnection;
  /** Of all the queue's keys in Redis; where several installations share one. */
  readonly prefix?: string | undefined;
  /** Shared with those who ask: jobs of nobody else are done. */
  readonly keys: JobKeys;
  /** Jobs at a time. */
  readonly concurrency: number;
  /** Told of jobs that threw, and of connection trouble. Never handed what was to be signed. */
  readonly onError: (error: unknown, jobId?: string) => void;
  /** Told of each job that was not looked at: whoever puts such jobs has no business in Redis. */
  readonly onRefused?: (reason: JobRefusal, jobId: string) => void;
  /** Told of each job that got an answer. */
  readonly onAnswered?: (job: AnsweredJob) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** What a log and a counter want to know of a job. */
export interface AnsweredJob {
  readonly id: string;
  readonly name: string;
  readonly outcome: 'signed' | Refusal['code'];
  /** From the moment this worker took it. */
  readonly milliseconds: number;
}

export interface ServedSigner {
  /** Resolves when jobs are being taken for the first time; rejects if closed before. */
  ready(): Promise<void>;
  /** Whether jobs can be taken now. */
  isConnected(): boolean;
  /** Finishes the jobs at hand and takes no more; within 6 s, and at once where Redis is gone. */
  close(): Promise<void>;
}

/**
 * How soon the jobs of a worker that died are another's: its lock has to run out (4 s) and two looks
 * at the list of active jobs have to pass (1 s each). Askers wait 8 s.
 */
const LOCK_DURATION = 4_000;
const STALLED_INTERVAL = 1_000;
/** A job that lasts longer has failed, and may be tried again. In milliseconds. */
const JOB_TIME_LIMIT = 5_000;
/** Whose answer takes longer has to ask again alone, so that the others need not wait for it. */
const BATCH_TIME_LIMIT = 1_000;
/** A probe that is answered later finds nobody who waits for it; in milliseconds. */
const CHECK_LIMIT = 1_000;
const CLOSE_LIMIT = JOB_TIME_LIMIT + 1_000;
/** Without Redis no job can be finished, and BullMQ's own close would wait for it. */
const CLOSE_LIMIT_WITHOUT_REDIS = 250;

/** Takes jobs from the queue for a signer, until closed. Starts whether Redis is there or not. */
export function serveSigner({
  signer,
  check = async () => {},
  redis,
  prefix = QUEUE_PREFIX,
  keys,
  concurrency,
  onError,
  onRefused = () => {},
  onAnswered = () => {},
  now = Date.now,
}: ServeOptions): ServedSigner {
  const spent = new SpentJobs();
  const accepted = new WeakMap<Job, Accepted>();
  const accept = (job: Job): Accepted | JobRefusal => {
    const opened = openJob(keys, placeOf(job), job.data, now());
    if (!opened.ok) return opened.reason;
    if (spent.has(opened.seal)) return 'replayed';
    accepted.set(job, opened);
    return opened;
  };
  const answerOne = (
    { id, name, data }: Asked,
    carrier: Carrier,
  ): Promise<SignResult | CreateKeyResult> =>
    answering(name, { 'messaging.message.id': id }, carrier, async () => {
      const started = performance.now();
      try {
        const given = await inTime(answer(signer, name, data));
        const outcome = given.ok ? 'signed' : given.code;
        onAnswered({ id, name, outcome, milliseconds: performance.now() - started });
        return given;
      } catch (error) {
        onError(error, id);
        throw error;
      }
    });
  const answerBatch = async (data: unknown, alone: boolean): Promise<BatchResult> => {
    const job = batchJob.safeParse(data);
    if (!job.success) return malformed(job.error);
    const { questions } = job.data;
    if (alone) return { ok: true, answers: questions.map(() => null) };
    const answers = questions.map((each) =>
      inTime(answerOne(each, carrierOf(each)), BATCH_TIME_LIMIT).catch(() => null),
    );
    return { ok: true, answers: await Promise.all(answers) };
  };
  const connection = connectionOf(redis);
  const perform = async (job: Job): Promise<SealedAnswer> => {
    const { id, name } = placeOf(job);
    const seal = (
      answer: SignResult | CreateKeyResult | BatchResult | ProbeResult | FailedJob,
    ): SealedAnswer => sealAnswer(keys, id, answer);
    const asked = accept(job);
    if (typeof asked === 'string') {
      onRefused(asked, id);
      return seal(notAccepted(asked));
    }
    if (name === 'probe') return seal({ ok: true, keys: await succeeds(check) });
    // Its worker died, maybe of one of the questions: alone that one harms nobody else.
    if (name === 'batch') return seal(await answerBatch(asked.data, job.stalledCounter > 0));
    try {
      return seal(await answerOne({ id, name, data: asked.data }, carrierOf(job.opts)));
    } catch (error) {
      // The message lies in Redis afterwards, where nobody needs to know more (the cause does not).
      const failure = 'the job failed; the log of the worker says why';
      if (isLastTry(job)) await give(job, seal({ failure }));
      throw new Error(failure, { cause: error });
    }
  };
  /**
   * Puts the answer where its asker hears of it, and gives what BullMQ is to keep. Dying in between is
   * no harm: the job comes back and is answered once more, and nobody listens any longer.
   */
  const give = async (job: Job, answer: SealedAnswer): Promise<SealedAnswer | undefined> => {
    const { id } = placeOf(job);
    const asker = askerOf(id);
    if (asker === undefined) return answer;
    try {
      await putAnswer(asker, id, answer);
    } catch (error) {
      onError(error, id);
      throw error; // the job is tried again
    }
    return undefined;
  };
  // BullMQ begins no job while it could take another one: it asks Redis first whether there is any. So a
  // worker that is idle says that it takes one, and more as soon as that one is begun.
  let atWork = 0;
  const worker: SigningWorker = new Worker(
    SIGNING_QUEUE,
    async (job: Job) => {
      atWork += 1;
      worker.concurrency = concurrency;
      try {
        return await give(job, await perform(job));
      } finally {
        atWork -= 1;
        if (atWork === 0) worker.concurrency = 1;
      }
    },
    {
      connection: connection.client,
      prefix: queuePrefix(redis, prefix),
      concurrency: 1,
      lockDuration: LOCK_DURATION,
      stalledInterval: STALLED_INTERVAL,
      // Jobs are signed again with the same result, so that dying workers need no limit of their own.
      maxStalledCount: 100,
      drainDelay: 1, // seconds; how late a job is whose wake-up call went to a worker that died
      runRetryDelay: 250,
      skipVersionCheck: true, // a check that fails once would fail this worker for good
    },
  );
  const putAnswer = putsAnswers(worker, queuePrefix(redis, prefix));
  // Not before BullMQ is done with it: a job whose lock ran out comes back, to us as well.
  worker.on('completed', (job) => {
    const done = accepted.get(job);
    if (done !== undefined) spent.add(done.seal, done.expires, now());
  });
  worker.on(
    'error',
    withoutRepeats((error) => onError(error)),
  );
  let connected = false;
  worker.getBackend().on('ready', () => {
    connected = true;
  });
  worker.on('ioredis:close', () => {
    connected = false;
  });
  return {
    ready: async () => {
      await worker.waitUntilReady();
    },
    isConnected: () => connected,
    close: async () => {
      await closeWorker(worker, connected ? CLOSE_LIMIT : CLOSE_LIMIT_WITHOUT_REDIS);
      connection.release();
    },
  };
}

type Asked = Pick<BatchedQuestion, 'id' | 'data'> & { readonly name: string };
type SigningWorker = Worker<unknown, SealedAnswer | undefined>;
type Accepted = Extract<OpenedJob, { readonly ok: true }>;

/** BullMQ gives every job an id; whoever writes to Redis by hand may not. */
function placeOf({ id = '', name }: Pick<Job, 'id' | 'name'>): JobPlace {
  return { id, name };
}

/** As BullMQ counts: this try not yet. */
function isLastTry({ attemptsMade, opts }: Job): boolean {
  return attemptsMade + 1 >= (opts.attempts ?? 1);
}

async function closeWorker(worker: SigningWorker, limit: number): Promise<void> {
  const over = new AbortController();
  const closed = worker.close().then(() => true);
  const late = delay(limit, false, { signal: over.signal });
  const tidy = await Promise.race([closed, late]);
  over.abort();
  if (!tidy) await Promise.race([worker.getBackend().close(true), delay(500)]);
}

/** Refusals are returned, for a retry would end the same; all else is thrown and tried again. */
async function answer(
  signer: ServeOptions['signer'],
  name: string,
  data: unknown,
): Promise<SignResult | CreateKeyResult> {
  try {
    switch (name) {
      case 'sign':
        return await answerSign(signer, data);
      case 'create-key':
        return await answerCreateKey(signer, data);
      default:
        return { ok: false, code: 'REFUSED', message: 'no such kind of job' };
    }
  } catch (error) {
    return refusal(error);
  }
}

async function answerSign(signer: Pick<Signer, 'sign'>, data: unknown): Promise<SignResult> {
  const job = signJob.safeParse(data);
  if (!job.success) return malformed(job.error);
  const { snapshot, timestamp } = await signer.sign(job.data);
  return {
    ok: true,
    ...(snapshot === undefined ? {} : { snapshot: [...snapshot] }),
    timestamp: [...timestamp],
  };
}

async function answerCreateKey(
  signer: Pick<Signer, 'createKey'>,
  data: unknown,
): Promise<CreateKeyResult> {
  const job = createKeyJob.safeParse(data);
  if (!job.success) return malformed(job.error);
  const key = await signer.createKey(job.data);
  return { ok: true, keytype: key.keytype, public: key.public };
}

function refusal(error: unknown): Refusal {
  if (!(error instanceof SigningError)) throw error;
  if (error.code === 'UNAVAILABLE' || error.code === 'TOO_LARGE') throw error;
  return { ok: false, code: error.code, message: error.message };
}

async function succeeds(check: () => Promise<void>): Promise<boolean> {
  return inTime(check(), CHECK_LIMIT).then(
    () => true,
    () => false,
  );
}

/** A plain timer, for most end before their time: aborting one by a signal makes an error each. */
async function inTime<Value>(work: Promise<Value>, most = JOB_TIME_LIMIT): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it took longer than ${most} ms`)), most);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
