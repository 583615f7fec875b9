import { randomUUID } from 'node:crypto';
import type { JobsOptions } from 'bullmq';
import { gather } from '../gather.ts';
import { batchResult, type JobName } from '../jobs.ts';
import { SigningError } from '../signer.ts';
import type { Carrier } from '../trace.ts';
import { carried } from './trace.ts';

/** What a worker is to be asked, as it stands in a job of its own. */
export interface Question {
  readonly name: 'create-key' | 'sign';
  readonly id: string;
  readonly data: object;
  /** JSON characters of `data`. */
  readonly size: number;
  readonly carrier: Carrier;
  /** When its asker gives up, by `performance.now()`. */
  readonly until: number;
}

/** Puts one job and gives its answer, or rejects by its deadline (milliseconds from now). */
export type AskJob = (
  name: JobName,
  id: string,
  data: object,
  extra: JobsOptions,
  deadline: number,
) => Promise<unknown>;

interface Asked {
  readonly question: Question;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Jobs under way at a time: enough for a few workers, and not so many that nothing gathers. */
const UNDER_WAY = 4;
/** Fewer are not spread over several jobs, though several could be under way. */
const FEWEST_TOGETHER = 4;
/** JSON characters of the questions of one job. */
const HEAVIEST = 256 * 1024;
/** A job that takes longer keeps nobody waiting; in milliseconds. */
const PATIENCE = 250;
/** How long workers that know no batches are sent none, in milliseconds. */
const ALONE_FOR = 60_000;

/**
 * Asks questions in as few jobs as that costs nobody time. One alone is put at once, as a job of its
 * own; what comes while enough jobs are under way waits for one of them and goes together (ADR 0023).
 * Each question has its own answer. One that did not get any from a batch is asked again alone: it
 * failed, or was slow, or is of the kind that workers die of, and none of it is the others' business.
 */
export function askTogether(ask: AskJob, most: number): (question: Question) => Promise<unknown> {
  let aloneUntil = -Infinity;

  const alone = async ({ question, resolve, reject }: Asked, before?: unknown): Promise<void> => {
    const { name, id, data, carrier, until } = question;
    const left = until - performance.now();
    try {
      if (left <= 0) throw before ?? new SigningError('UNAVAILABLE', 'no signer answered in time');
      resolve(await ask(name, id, data, carried(carrier), left));
    } catch (error) {
      reject(error);
    }
  };
  const batch = async (asked: readonly Asked[]): Promise<readonly unknown[]> => {
    const questions = asked.map(({ question: { name, id, data, carrier } }) => ({
      name,
      id,
      data,
      ...carried(carrier),
    }));
    const until = Math.min(...asked.map(({ question }) => question.until));
    const left = until - performance.now();
    const id = `batch-${randomUUID()}`;
    const result = batchResult.safeParse(await ask('batch', id, { questions }, {}, left));
    if (result.success && result.data.ok && result.data.answers.length === asked.length) {
      return result.data.answers;
    }
    // A worker of an older version refuses a job of that name; whatever else it is, is no better.
    aloneUntil = performance.now() + ALONE_FOR;
    throw new SigningError('UNAVAILABLE', 'the signer gave an unintelligible answer');
  };
  const together = async (asked: readonly Asked[]): Promise<void> => {
    if (asked.length === 1 || performance.now() < aloneUntil) {
      await Promise.all(asked.map((each) => alone(each)));
      return;
    }
    try {
      const answers = await batch(asked);
      asked.forEach((each, at) => {
        const answer = answers[at] ?? null;
        if (answer === null) void alone(each);
        else each.resolve(answer);
      });
    } catch (error) {
      for (const each of asked) void alone(each, error);
    }
  };
  const add = gather<Asked>(together, {
    underWay: most === 1 ? Infinity : UNDER_WAY,
    most,
    fewest: FEWEST_TOGETHER,
    weightOf: ({ question }) => question.size,
    heaviest: HEAVIEST,
    patience: PATIENCE,
  });
  return (question) =>
    new Promise((resolve, reject) => {
      add({ question, resolve, reject });
    });
}
