import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { MOST_TOGETHER } from '../jobs.ts';
import { askTogether, type AskJob, type Question } from './together.ts';

/** A place for jobs in which each is answered by hand. */
function queue() {
  const jobs: {
    readonly name: string;
    readonly id: string;
    /** Ids of the questions; none in a job for one. */
    readonly batched: string[];
    readonly deadline: number;
    readonly extra: object;
    readonly answer: (answer: unknown) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  const batch = z.object({ questions: z.array(z.object({ id: z.string() })) });
  const ask: AskJob = (name, id, data, extra, deadline) => {
    const { promise, resolve: answer, reject: fail } = Promise.withResolvers<unknown>();
    const batched = batch.safeParse(data).data?.questions.map((question) => question.id) ?? [];
    jobs.push({ name, id, batched, deadline, extra, answer, fail });
    return promise;
  };
  return { jobs, ask };
}

const question = (id: string, changes: Partial<Question> = {}): Question => ({
  name: 'sign',
  id,
  data: {},
  size: 2,
  carrier: {},
  until: performance.now() + 8_000,
  ...changes,
});
const UNDER_WAY = 4;

/** Four are under way, so that the `ids` go together when the first of the four is answered. */
async function asked(...ids: readonly (string | Question)[]) {
  const { jobs, ask } = queue();
  const put = askTogether(ask, MOST_TOGETHER);
  for (let at = 0; at < UNDER_WAY; at += 1) {
    void put(question(`before-${at}`)).catch(() => {});
    await turn();
  }
  const answers = ids.map((each) => put(typeof each === 'string' ? question(each) : each));
  for (const answer of answers) answer.catch(() => {});
  await turn();
  expect(jobs).toHaveLength(UNDER_WAY);
  jobs[0]?.answer({});
  await turn();
  await turn();
  return { jobs, put, answers, batch: jobs[UNDER_WAY] };
}

describe('a question', () => {
  test('that is alone is put at once, as a job of its own', async () => {
    const { jobs, ask } = queue();
    const answer = askTogether(ask, MOST_TOGETHER)(question('one'));
    await turn();

    expect(jobs).toMatchObject([{ name: 'sign', id: 'one', batched: [] }]);
    jobs[0]?.answer({ ok: true });
    expect(await answer).toEqual({ ok: true });
  });

  test('that comes while enough is under way goes together with others, and has its own answer', async () => {
    const { jobs, answers, batch } = await asked('a', 'b', 'c');

    expect(jobs).toHaveLength(UNDER_WAY + 1);
    expect(batch).toMatchObject({ name: 'batch', batched: ['a', 'b', 'c'] });
    batch?.answer({ ok: true, answers: [{ n: 1 }, { n: 2 }, { n: 3 }] });
    expect(await Promise.all(answers)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  test('that got no answer among others is asked again alone, and they are answered', async () => {
    const { jobs, answers, batch } = await asked('a', 'b', 'c');
    batch?.answer({ ok: true, answers: [{ n: 1 }, null, { n: 3 }] });

    expect(await answers[0]).toEqual({ n: 1 });
    expect(await answers[2]).toEqual({ n: 3 });
    expect(jobs.at(-1)).toMatchObject({ name: 'sign', id: 'b' });
    jobs.at(-1)?.answer({ n: 2 });
    expect(await answers[1]).toEqual({ n: 2 });
  });

  test.each<[string, unknown]>([
    ['refused, as by a worker of an older version', { ok: false, code: 'REFUSED', message: '' }],
    ['answered in another shape', { ok: true, timestamp: [] }],
    ['answered for other questions', { ok: true, answers: [{}] }],
  ])('whose batch is %s is asked again alone, and so are those that follow', async (_, answer) => {
    const { jobs, put, answers, batch } = await asked('a', 'b');
    batch?.answer(answer);
    await turn();
    expect(jobs.slice(-2)).toMatchObject([{ id: 'a' }, { id: 'b' }]);
    jobs.at(-1)?.answer({ n: 2 });
    expect(await answers[1]).toEqual({ n: 2 });

    const later = ['c', 'd', 'e', 'f', 'g', 'h'].map((id) => put(question(id)));
    for (const each of later) each.catch(() => {});
    await turn();
    for (const job of jobs) job.answer({});
    await turn();
    await turn();

    expect(jobs.filter(({ name }) => name === 'batch')).toHaveLength(1);
  });

  test('whose batch failed is asked again alone, for as long as its asker still waits', async () => {
    const { jobs, answers, batch } = await asked(
      question('a', { until: performance.now() + 5_000 }),
      'b',
    );
    expect(batch?.deadline).toBeLessThanOrEqual(5_000);
    batch?.fail(new Error('the signer failed'));
    await turn();

    expect(jobs.slice(-2)).toMatchObject([{ id: 'a' }, { id: 'b' }]);
    expect(jobs.at(-2)?.deadline).toBeLessThanOrEqual(5_000);
    jobs.at(-2)?.answer({ n: 1 });
    expect(await answers[0]).toEqual({ n: 1 });
  });

  test('whose time is over is not asked again, and hears why its batch failed', async () => {
    const { jobs, answers, batch } = await asked(
      question('a', { until: performance.now() + 20 }),
      'b',
    );
    await new Promise((resolve) => void setTimeout(resolve, 30));
    batch?.fail(new Error('signers do not accept our job: early'));

    await expect(answers[0]).rejects.toThrow('signers do not accept our job: early');
    expect(jobs.at(-1)).toMatchObject({ id: 'b' });
  });

  test('takes its trace along, unless that is as long as only a stranger makes it', async () => {
    const { ask, jobs } = queue();
    const put = askTogether(ask, MOST_TOGETHER);
    void put(question('a', { carrier: { traceparent: '00-1' } }));
    await turn();
    void put(question('b', { carrier: { tracestate: 'x'.repeat(2_000) } }));
    await turn();

    expect(jobs.map(({ extra }) => extra)).toEqual([
      { telemetry: { metadata: '{"traceparent":"00-1"}' } },
      {},
    ]);
  });
});

test('with one question a job at most, each is put at once', async () => {
  const { jobs, ask } = queue();
  const put = askTogether(ask, 1);
  for (let at = 0; at < 100; at += 1) void put(question(`q-${at}`));
  await turn();

  expect(jobs.filter(({ name }) => name === 'sign')).toHaveLength(100);
});
