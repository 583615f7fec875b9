import {
  parseGun,
  sha256Of,
  type Gun,
  type KeyId,
  type RoleName,
  type Sha256,
} from '@scrivener/tuf';
import { z } from 'zod';

/*
 * What travels, sealed (`job-seal.ts`), between those who ask for a signature and those who sign.
 * Both sides also parse what they receive: they may be of different versions. Versions are decimal
 * strings and bytes are base64, as JSON has neither int64 nor bytes.
 */

/** The one queue; what is asked for is told by a job's name. */
export const SIGNING_QUEUE = 'signing';

/** Keeps our keys apart from other users of the same Redis. */
export const QUEUE_PREFIX = 'scrivener';

export type JobName = 'create-key' | 'sign' | 'batch' | 'probe';

const INT64_MAX = 2n ** 63n - 1n;

const gun = z.custom<Gun>((value) => typeof value === 'string' && isStorable(value), 'not a GUN');
const keyid = z.custom<KeyId>(
  (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
  'not a keyid',
);
const version = z.codec(
  z.string().regex(/^[1-9][0-9]{0,18}$/, 'not a version'),
  z.bigint().min(1n).max(INT64_MAX),
  { decode: (text) => BigInt(text), encode: (value) => value.toString() },
);
/** Of a file that a client made, which may have any version. */
const foreignVersion = z.codec(
  z.string().regex(/^-?(0|[1-9][0-9]{0,18})$/, 'not a version'),
  z.bigint().min(-INT64_MAX).max(INT64_MAX),
  { decode: (text) => BigInt(text), encode: (value) => value.toString() },
);
const octets = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes');
const bytes = z.codec(z.base64(), octets, {
  decode: (text) => Buffer.from(text, 'base64'),
  encode: (value) => Buffer.from(value).toString('base64'),
});
/** At least one, for an envelope without signatures is of no use; a role of thousands is an attack. */
const keyids = z.array(keyid).min(1).max(64).readonly();

const snapshotFile = z.codec(
  z.strictObject({ version: foreignVersion, bytes }),
  z.object({
    role: z.custom<RoleName>((value) => value === 'snapshot', 'not a snapshot'),
    version: z.bigint(),
    bytes: octets,
    sha256: z.custom<Sha256>(),
  }),
  {
    decode: (file) => ({ role: 'snapshot' as const, ...file, sha256: sha256Of(file.bytes) }),
    encode: (file) => ({ version: file.version, bytes: file.bytes }),
  },
);

/** Data of a `sign` job; parses into a `SigningRequest`. */
export const signJob = z.strictObject({
  gun,
  snapshot: z.strictObject({ version, signed: z.string().min(1), keyids }).exactOptional(),
  timestamp: z.strictObject({
    version,
    expires: z.string().min(1).max(64),
    keyids,
    snapshot: snapshotFile.exactOptional(),
  }),
});

/** Data of a `create-key` job; parses into a `CreateKeyRequest`. */
export const createKeyJob = z.strictObject({
  gun,
  role: z.enum(['snapshot', 'timestamp']),
  algorithm: z.enum(['ed25519', 'ecdsa']),
});

/** Questions of one job; answers of so many are some 50 KB. */
export const MOST_TOGETHER = 64;

/** Data of a `batch` job: questions of one asker, each as in a job of its own, which it may yet get. */
export const batchJob = z.strictObject({
  questions: z
    .array(
      z.strictObject({
        name: z.enum(['create-key', 'sign']),
        id: z.string().min(1).max(128),
        /** Parsed with the others of its name: what is wrong with one is an answer to that one. */
        data: z.unknown(),
        /** Its place in a trace, as in the options of a job. */
        telemetry: z.unknown().exactOptional(),
      }),
    )
    .min(1)
    .max(MOST_TOGETHER),
});
export type BatchedQuestion = z.output<typeof batchJob>['questions'][number];

/**
 * Why a worker does not even look at what a job asks for:
 * - `forged`: no holder of the job key made it as it is; forged and altered cannot be told apart
 * - `expired`: its asker has given up by now, or the worker's clock is ahead of the asker's
 * - `early`: it would live longer than any job does; the worker's clock is behind the asker's
 * - `replayed`: this worker has answered that very job already
 */
export const JOB_REFUSALS = ['forged', 'expired', 'early', 'replayed'] as const;
export type JobRefusal = (typeof JOB_REFUSALS)[number];

/**
 * A refusal is an answer: a throw would be tried again, and no retry mends it. With `job` it says
 * nothing about the question, only that what stood under its id was not a good job.
 */
const refusal = z.strictObject({
  ok: z.literal(false),
  code: z.enum(['UNKNOWN_KEY', 'REFUSED']),
  message: z.string(),
  job: z.enum(JOB_REFUSALS).exactOptional(),
});
const signatures = z.array(z.strictObject({ keyid, method: z.string(), sig: z.base64() }));

export const signResult = z.discriminatedUnion('ok', [
  z.strictObject({
    ok: z.literal(true),
    snapshot: signatures.exactOptional(),
    timestamp: signatures,
  }),
  refusal,
]);

export const createKeyResult = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), keytype: z.string(), public: z.base64() }),
  refusal,
]);

/**
 * Answers in the order of the questions, each as that to a job of its own (not parsed yet), or `null`:
 * none for now, and it should be asked again in such a job.
 */
export const batchResult = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), answers: z.array(z.unknown()) }),
  refusal,
]);

/** The answer to a `probe`, whose data is empty: whether the worker reaches its keys. */
export const probeResult = z.strictObject({ ok: z.literal(true), keys: z.boolean() });

/** Instead of any of these: no try is left. A job that was asked by an API of before fails in the queue. */
export const failedJob = z.strictObject({ failure: z.string() });

/** Answers, as they lie in the queue. */
export type SignResult = z.output<typeof signResult>;
export type CreateKeyResult = z.output<typeof createKeyResult>;
export type BatchResult = z.output<typeof batchResult>;
export type ProbeResult = z.output<typeof probeResult>;
export type Refusal = z.output<typeof refusal>;
export type FailedJob = z.output<typeof failedJob>;

/** The answer to a job that is not of the shape above. Names the place, never the content. */
export function malformed(error: z.ZodError): Refusal {
  const places = error.issues.map((issue) => issue.path.join('.') || 'the job itself');
  return { ok: false, code: 'REFUSED', message: `malformed job: ${places.join(', ')}` };
}

/** The answer to a job that is not to be looked at. */
export function notAccepted(reason: JobRefusal): Refusal {
  return { ok: false, code: 'REFUSED', message: `the job is not accepted: ${reason}`, job: reason };
}

/** Why the job was not looked at, where that is what an answer (not parsed yet) says. */
export function refusalOfJob(answer: unknown): JobRefusal | undefined {
  const parsed = refusal.safeParse(answer);
  return parsed.success ? parsed.data.job : undefined;
}

/** Whether every signer can keep a key under that name: no text in Postgres holds a NUL. */
function isStorable(text: string): boolean {
  return parseGun(text) !== undefined && !text.includes('\0') && text.isWellFormed();
}
