import { isDeepStrictEqual } from 'node:util';
import { createJobKey, parseJobKeys } from '@scrivener/signing';
import { openJob, sealJob } from '../../libs/signing/src/job-seal.ts';
import { batchJob, createKeyJob, malformed, signJob } from '../../libs/signing/src/jobs.ts';
import { checkSigningRequest, TufError } from '@scrivener/tuf';
import { bytesOf, textOf, verdictOf, type Target, type Verdict } from '../target.ts';

const NOW = 1_790_000_000_000;
const PLACE = { id: 'sign-1', name: 'sign' };

/**
 * What lies in the queue. As it stands, by whoever could write there: only a sealed job opens. And
 * as the body of a job that is sealed well: it is a request that may be signed, or a refusal.
 */
export const job: Target = {
  name: 'job',
  words: [
    '{"gun":"a"',
    '"role":"timestamp"',
    '"algorithm":"ed25519"',
    '"snapshot":{',
    '"timestamp":{',
    '"version":"1"',
    '"signed":"',
    '"keyids":[',
    `"${'a'.repeat(64)}"`,
    '"expires":',
    '"questions":[',
    '{"name":"sign","id":"x","data":',
    '"mac":',
    '"nonce":',
    '"body":',
    '}',
    ']',
    ',',
  ],
  runs: 3_000,
  open: () => {
    const keys = parseJobKeys(createJobKey());
    const sealed = JSON.stringify(sealJob(keys, PLACE, { gun: 'a' }, NOW + 8_000));
    return {
      seeds: [bytesOf(sealed)],
      run: async (input) => {
        const data = jsonOf(input);
        const opened = openJob(keys, PLACE, data, NOW);
        if (opened.ok && !isDeepSame(data, sealed)) throw new Error('a forged job opens');
        if (opened.ok) return 'value';
        return verdictOfBody(data);
      },
    };
  },
};

async function verdictOfBody(data: unknown): Promise<Verdict> {
  const batch = batchJob.safeParse(data);
  if (batch.success) {
    const verdicts = await Promise.all(
      batch.data.questions.map((each) => verdictOfBody(each.data)),
    );
    return verdicts.includes('value') ? 'value' : 'refusal';
  }
  malformed(batch.error);
  const key = createKeyJob.safeParse(data);
  const sign = signJob.safeParse(data);
  for (const { error } of [key, sign]) if (error !== undefined) malformed(error);
  if (!sign.success) return key.success ? 'value' : 'refusal';
  return verdictOf(() => checkSigningRequest(sign.data), TufError);
}

/** BullMQ parses what lies in Redis before it hands it to anybody. */
function jsonOf(input: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(input)) as unknown;
  } catch {
    return undefined;
  }
}

/** In another order of members, or with other white space, it is still the job that was sealed. */
function isDeepSame(data: unknown, sealed: string): boolean {
  return isDeepStrictEqual(data, JSON.parse(sealed));
}
