import { getFile } from '../tuf-http.ts';
import { readDatabase } from './log.ts';
import { beginMany, everythingHolds, withStack, type Findings, type Say } from './trial.ts';
import { versionOf } from './verifier.ts';

const DAY = 86_400_000;

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
