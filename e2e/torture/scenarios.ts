import { getFile, postUpdate } from '../tuf-http.ts';
import { nextTargets, type Torment } from './collections.ts';
import { readDatabase } from './log.ts';
import {
  beginMany,
  current,
  everythingHolds,
  withStack,
  type Findings,
  type Say,
} from './trial.ts';
import { versionOf } from './verifier.ts';

const DAY = 86_400_000;

// ---------------------------------------------------------------------------------------- races

export interface RaceOptions {
  readonly publishers: number;
  readonly rounds: number;
  /** How long publishers run freely for the figure of accepted publishes per second. */
  readonly freeMs: number;
  readonly say: Say;
}

/** Many publishers of one role: one winner for each version, the others hear VERSION. */
export async function raceScenario(options: RaceOptions): Promise<Findings> {
  const { publishers, rounds, freeMs, say } = options;
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
    const few = await acceptedPerSecond(urls, torment, 4, freeMs);
    const many = await acceptedPerSecond(urls, torment, publishers, freeMs);
    wrong.push(...few.wrong, ...many.wrong, ...(await everythingHolds(stack, [torment])));
    return {
      figures: [
        `${rounds} rounds of ${publishers} publishers in ${seconds} s: one winner each, the others 400 VERSION; ${Math.round(postingMs / rounds)} ms from the first post of a round to its last answer`,
        `accepted per second: ${few.rate.toFixed(1)} with 4 publishers, ${many.rate.toFixed(1)} with ${publishers} (of ${few.attempts.toFixed(0)} and ${many.attempts.toFixed(0)} posts per second)`,
      ],
      wrong,
    };
  });
}

async function acceptedPerSecond(
  urls: readonly string[],
  torment: Torment,
  publishers: number,
  freeMs: number,
): Promise<{
  readonly rate: number;
  readonly attempts: number;
  readonly wrong: readonly string[];
}> {
  const others = new Set<string>();
  let accepted = 0;
  let posts = 0;
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
  const [rate, attempts] = [accepted / seconds, posts / seconds];
  return { rate, attempts, wrong: [...others].map((text) => `${publishers} publishers: ${text}`) };
}

// -------------------------------------------------------------------------------------- expired

export interface ExpiredOptions {
  readonly readers: number;
  readonly repositories: number;
  readonly say: Say;
}

/**
 * Timestamps that expired because nobody renewed them: published while the clocks of all programs
 * stood three weeks ago, then read by many at once under the true time, with renewal switched off.
 */
export async function expiredScenario(options: ExpiredOptions): Promise<Findings> {
  const { readers, repositories, say } = options;
  const size = {
    apis: 2,
    workers: 1,
    projectors: 1,
    server: { renewal: { enabled: false } },
  };
  return withStack(
    size,
    async (stack) => {
      const { cluster, urls } = stack;
      const torments = await beginMany(urls, repositories, new Date(Date.now() - 21 * DAY));
      say(`${repositories} repositories published three weeks ago; back to the present`);
      stack.setClock(0);
      const processes = Object.values(cluster.processes).flat();
      for (const process of processes) process.signal('SIGKILL');
      await Promise.all(processes.map((process) => process.ended()));
      for (const process of processes) process.start();
      await cluster.healthy();

      const wrong: string[] = [];
      const times: number[] = [];
      for (const { gun } of torments) {
        const startedAt = Date.now();
        const answers = await Promise.all(
          Array.from({ length: readers }, (_, reader) =>
            getFile(urls[reader % urls.length] ?? '', gun, 'timestamp.json'),
          ),
        );
        times.push(Date.now() - startedAt);
        const seen = new Set(
          answers.map(({ status, body }) => (status === 200 ? versionOf(body) : `${status}`)),
        );
        if (seen.size !== 1 || !seen.has(2)) wrong.push(`${gun}: ${[...seen].join(', ')}`);
      }
      const { events } = await readDatabase(cluster);
      const renewals = events.filter(({ type }) => type === 'RoleRenewed').length;
      if (renewals !== repositories) wrong.push(`${renewals} renewals of ${repositories}`);
      wrong.push(...(await everythingHolds(stack, torments)));
      const slowest = Math.max(...times);
      return {
        figures: [
          `${readers} readers at once of each of ${repositories} expired timestamps: ${readers * repositories} × 200, ${renewals} new versions; slowest round ${slowest} ms`,
        ],
        wrong,
      };
    },
    -21 * DAY,
  );
}
