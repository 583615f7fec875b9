import { createHmac, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { JobKeys } from './job-keys.ts';
import type { JobRefusal } from './jobs.ts';

/*
 * Whoever can write to the queue's store can write anything, so API and workers seal what they say
 * to each other: HMAC-SHA256 with keys that are not in the store. A job is good for one name, one
 * id and a short time; an answer is good for one id. ADR 0011 says what that leaves to a thief.
 */

/**
 * How far the clock of a worker may be ahead of an API's before jobs are lost that are asked for at
 * the last moment, in milliseconds. A job may be done that much later than its asker gave up.
 */
export const CLOCK_SKEW = 5_000;
/** How long an asker may wait at most; no job lives longer, whatever it says. In milliseconds. */
export const LONGEST_DEADLINE = 60_000;

const VERSION = 1;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const mac = hex(32);
const sealedJob = z.strictObject({
  version: z.literal(VERSION),
  /** Milliseconds since 1970, by the clock of the asker. */
  expires: z.int().positive(),
  /** Tells the jobs of one question apart: it may be put again. */
  nonce: hex(16),
  /** JSON, as it was sealed to the letter. */
  body: z.string(),
  mac,
});
const sealedAnswer = z.strictObject({ version: z.literal(VERSION), body: z.string(), mac });

/** Data of a job, as it lies in the queue. */
export type SealedJob = z.output<typeof sealedJob>;
/** The answer to a job, as it lies in Redis. */
export type SealedAnswer = z.output<typeof sealedAnswer>;

/** Where a job stands: under that id, as a job of that name. Both are sealed with it. */
export interface JobPlace {
  readonly id: string;
  readonly name: string;
}

export type OpenedJob =
  | {
      readonly ok: true;
      /** Not parsed yet. */
      readonly data: unknown;
      /** Of no other job. */
      readonly seal: string;
      readonly expires: number;
    }
  | { readonly ok: false; readonly reason: Exclude<JobRefusal, 'replayed'> };

/** What JSON.stringify makes a text of. */
type Json = object | string | null;

/** Seals a job that is to be done before `expires` (milliseconds since 1970). */
export function sealJob(
  { jobs: [key] }: JobKeys,
  place: JobPlace,
  data: Json,
  expires: number,
): SealedJob {
  const nonce = randomBytes(16).toString('hex');
  const body = JSON.stringify(data);
  const seal = sealOf(key, jobText(place, { expires, nonce, body })).toString('hex');
  return { version: VERSION, expires, nonce, body, mac: seal };
}

/**
 * What was sealed, if a holder of the keys sealed it for this place and it is still time. What was
 * forged and what was altered look the same: the seal does not fit.
 */
export function openJob(
  { jobs: keys }: JobKeys,
  place: JobPlace,
  sealed: unknown,
  now: number,
): OpenedJob {
  const job = sealedJob.safeParse(sealed);
  if (!job.success || !fits(keys, jobText(place, job.data), job.data.mac)) {
    return { ok: false, reason: 'forged' };
  }
  const { expires, body, mac: seal } = job.data;
  if (expires < now) return { ok: false, reason: 'expired' };
  if (expires > now + LONGEST_DEADLINE + 2 * CLOCK_SKEW) return { ok: false, reason: 'early' };
  return { ok: true, data: fromJson(body), seal, expires };
}

/** Seals the answer to the job of that id. */
export function sealAnswer({ answers: [key] }: JobKeys, jobId: string, answer: Json): SealedAnswer {
  const body = JSON.stringify(answer);
  const seal = sealOf(key, answerText(jobId, body)).toString('hex');
  return { version: VERSION, body, mac: seal };
}

/** The answer (not parsed yet), if a holder of the keys gave it to the job of that id. */
export function openAnswer(
  { answers: keys }: JobKeys,
  jobId: string,
  sealed: unknown,
): { readonly answer: unknown } | undefined {
  const given = sealedAnswer.safeParse(sealed);
  if (!given.success) return undefined;
  const { body, mac: seal } = given.data;
  return fits(keys, answerText(jobId, body), seal) ? { answer: fromJson(body) } : undefined;
}

/** JSON of a list: no two jobs have the same text, wherever one member ends and the next begins. */
function jobText(
  { id, name }: JobPlace,
  { expires, nonce, body }: Pick<SealedJob, 'expires' | 'nonce' | 'body'>,
): string {
  return JSON.stringify([VERSION, name, id, expires, nonce, body]);
}

function answerText(jobId: string, body: string): string {
  return JSON.stringify([VERSION, jobId, body]);
}

function fits(keys: readonly KeyObject[], text: string, mac: string): boolean {
  const given = Buffer.from(mac, 'hex');
  return keys.some((key) => timingSafeEqual(sealOf(key, text), given));
}

function sealOf(key: KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Only a holder of the keys can have sealed what is no JSON; the parsers refuse `undefined`. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
