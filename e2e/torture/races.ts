import { usageOf } from '../../bench/usage.ts';
import { postUpdate } from '../tuf-http.ts';
import { nextTargets, type Torment } from './collections.ts';
import type { Stack } from './stack.ts';
import {
  beginMany,
  current,
  everythingHolds,
  withStack,
  type Findings,
  type Say,
} from './trial.ts';

export interface RaceOptions {
  readonly publishers: number;
  readonly rounds: number;
  /** How long publishers run freely for the figure of accepted publishes per second. */
  readonly freeMs: number;
  /** How often each of few and many do so, in turns. */
  readonly freeRuns: number;
  /** Whether it is wrong if many get less done than few: where nothing else runs. */
  readonly mustKeepUp?: boolean;
  readonly say: Say;
}

/** Publishers that are few: what as many as `RaceOptions.publishers` get done is compared with them. */
const FEW = 4;

/** Many publishers of one role: one winner for each version, the others hear VERSION. */
export async function raceScenario(options: RaceOptions): Promise<Findings> {
  const { publishers, rounds, freeMs, freeRuns, say } = options;
  return withStack({ apis: 2, workers: 2, projectors: 1 }, async (stack) => {
    const { urls } = stack;
    const wrong: string[] = [];
    const [torment] = await beginMany(urls, 1);
    if (torment === undefined) throw new RangeError('no repository');
    const startedAt = Date.now();
    let postingMs = 0;
    for (let round = 0; round < rounds; round += 1) {
      const { targets, signers } = await current(urls[0] ?? '', torment);
      const parts = Array.from({ length: publishers }, (_, publisher) =>
        nextTargets('targets', targets, `race-${round}-${publisher}`, signers),
      );
      const postedAt = Date.now();
      const answers = await Promise.all(
        parts.map((part, index) =>
          postUpdate(urls[index % urls.length] ?? '', torment.gun, [part]),
        ),
      );
      postingMs += Date.now() - postedAt;
      const texts = answers.map(({ status, code }) => `${status} ${code ?? ''}`.trim());
      const winners = texts.filter((text) => text === '200').length;
      if (winners !== 1) wrong.push(`round ${round}: ${winners} winners`);
      const others = texts.filter((text) => text !== '200' && text !== '400 VERSION');
      if (others.length > 0) wrong.push(`round ${round}: ${[...new Set(others)].join(', ')}`);
      if (round % 10 === 9) say(`${round + 1} rounds of ${publishers} publishers`);
    }
    const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
    const few: Free[] = [];
    const many: Free[] = [];
    // in turns, so that whatever else the machine does meets both
    for (let run = 0; run < freeRuns; run += 1) {
      few.push(await publishFreely(stack, torment, FEW, freeMs));
      many.push(await publishFreely(stack, torment, publishers, freeMs));
      say(`${few.length} of ${freeRuns} times ${FEW} and ${publishers} publishers that run freely`);
    }
    const free = [...few, ...many];
    const [fewer, more] = [medianOf(few), medianOf(many)];
    if (options.mustKeepUp === true && more < fewer) {
      wrong.push(`${publishers} publishers got less done than ${FEW}`);
    }
    wrong.push(...free.flatMap((run) => run.wrong), ...(await everythingHolds(stack, [torment])));
    return {
      figures: [
        `${rounds} rounds of ${publishers} publishers in ${seconds} s: one winner each, the others 400 VERSION; ${Math.round(postingMs / rounds)} ms from the first post of a round to its last answer`,
        `accepted per second, medians of ${freeRuns}: ${fewer.toFixed(1)} with ${FEW} publishers, ${more.toFixed(1)} with ${publishers}`,
        ...free.map((run) => `  ${toldOfFree(run)}`),
      ],
      wrong,
    };
  });
}

/** A time in which so many published as fast as they could. */
interface Free {
  readonly publishers: number;
  readonly accepted: number;
  readonly posts: number;
  readonly seconds: number;
  /** Seconds of processor time by program, ours among them: `client`. */
  readonly processor: ReadonlyMap<string, number>;
  readonly wrong: readonly string[];
}

async function publishFreely(
  stack: Stack,
  torment: Torment,
  publishers: number,
  freeMs: number,
): Promise<Free> {
  const { urls } = stack;
  const others = new Set<string>();
  let accepted = 0;
  let posts = 0;
  const before = processorOf(stack);
  const startedAt = Date.now();
  const publish = async (publisher: number) => {
    const url = urls[publisher % urls.length] ?? '';
    while (Date.now() - startedAt < freeMs) {
      const { targets, signers } = await current(url, torment);
      const name = `free-${publishers}-${publisher}-${targets.version}`;
      const part = nextTargets('targets', targets, name, signers);
      const { status, code } = await postUpdate(url, torment.gun, [part]);
      posts += 1;
      if (status === 200) accepted += 1;
      else if (code !== 'VERSION') others.add(`${status} ${code}`);
    }
  };
  await Promise.all(Array.from({ length: publishers }, (_, publisher) => publish(publisher)));
  const seconds = (Date.now() - startedAt) / 1_000;
  const processor = new Map(
    [...processorOf(stack)].map(([name, used]) => [name, used - (before.get(name) ?? 0)]),
  );
  const wrong = [...others].map((text) => `${publishers} publishers: ${text}`);
  return { publishers, accepted, posts, seconds, processor, wrong };
}

function processorOf({ cluster: { processes }, postgres, redis }: Stack): Map<string, number> {
  const programs = {
    APIs: processes.api.map(({ pid }) => pid),
    workers: processes['signer-worker'].map(({ pid }) => pid),
    projector: processes.projector.map(({ pid }) => pid),
    Redis: redis.pids(),
    Postgres: postgres.pids().slice(0, 1), // the others are its children
  };
  const used = Object.entries(programs).map(([name, pids]): [string, number] => {
    const each = usageOf(pids.map((pid) => ({ name: String(pid), pid })));
    return [name, [...each.values()].reduce((sum, { cpu }) => sum + cpu, 0) / 1e6];
  });
  const { user, system } = process.cpuUsage();
  return new Map([...used, ['client', (user + system) / 1e6]]);
}

function medianOf(runs: readonly Free[]): number {
  const rates = runs.map(({ accepted, seconds }) => accepted / seconds).toSorted((a, b) => a - b);
  return rates[Math.floor(rates.length / 2)] ?? 0;
}

function toldOfFree({ publishers, accepted, posts, seconds, processor }: Free): string {
  const shares = [...processor].map(
    ([name, used]) => `${name} ${((100 * used) / seconds).toFixed(0)} %`,
  );
  return `${publishers} publishers: ${(accepted / seconds).toFixed(1)}/s of ${(posts / seconds).toFixed(1)} posts/s; of one processor: ${shares.join(', ')}`;
}
