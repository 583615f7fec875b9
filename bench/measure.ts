import { contest, type Work } from './contest.ts';
import { openCommitLimit } from './limits/commits.ts';
import { openJobLimit } from './limits/jobs.ts';
import { startLoadClient } from './load/load-client.ts';
import { describeMachine } from './machine.ts';
import { startOldStack } from './old-stack.ts';
import type { Options } from './options.ts';
import { prepareFirstPublishes, preparePublishes } from './publish.ts';
import { prepareReads, type ReadSubject } from './reads.ts';
import type { Report } from './series.ts';
import { startBenchStack, type BenchStack } from './stack.ts';
import type { Contender, Subject } from './subject.ts';

/** Connections that commit at a time; jobs that are under way at a time. */
const COMMITTERS = [1, 8, 32];
const ASKERS = [1, 16, 64];

/** All that was asked for, in turns, on one stack. */
export async function measure(options: Options, say: (line: string) => void): Promise<Report> {
  const { benches, runs, seconds, clients, files, collections } = options;
  await using closers = new AsyncDisposableStack();
  const stack = options.url === undefined ? await startBenchStack() : undefined;
  if (stack !== undefined) closers.defer(() => stack.stop());
  const first = await contend(subjectOf(options, stack), closers);
  const contenders: [Contender, ...Contender[]] = [first];
  if (options.old && stack !== undefined) {
    const old = await startOldStack(stack.postgresUrl, stack.postgres);
    closers.defer(() => old.stop());
    contenders.push(await contend(old.subject, closers));
  }

  const load = { contenders, clients, files, seconds };
  const works: Work[] = [];
  if (benches.includes('reads')) {
    say(`publishing ${collections} collections to read`);
    const publishReads = async ({ subject, client }: Contender) => ({
      subject,
      guns: await client.create('reads', collections, 10),
    });
    const [one, ...others] = contenders;
    const subjects: [ReadSubject, ...ReadSubject[]] = [await publishReads(one)];
    for (const other of others) subjects.push(await publishReads(other));
    const reads = await prepareReads(subjects, seconds);
    closers.defer(() => reads.close());
    works.push(...reads.works);
  }
  if (benches.includes('publish')) {
    say('publishing the collections that are updated');
    works.push(...(await preparePublishes(load)));
  }
  if (benches.includes('init')) works.push(...prepareFirstPublishes(load));
  if (stack !== undefined && works.some(({ bench }) => bench !== 'reads')) {
    const limits = await prepareStoreLimits(stack, seconds);
    closers.defer(() => limits.close());
    works.push(...limits.works);
  }
  const series = await contest(works, runs, say);
  return {
    format: 1,
    at: new Date().toISOString(),
    machine: describeMachine(),
    runs,
    seconds,
    series,
    figures: [],
  };
}

async function contend(subject: Subject, closers: AsyncDisposableStack): Promise<Contender> {
  const client = await startLoadClient(subject.url, subject.caFile);
  closers.defer(() => client.stop());
  return { subject, client };
}

function subjectOf({ url, caFile, watched }: Options, stack: BenchStack | undefined): Subject {
  if (url !== undefined) return { name: 'the server', url, caFile, watched };
  if (stack === undefined) throw new RangeError('neither a server nor a stack');
  return {
    name: 'scrivener',
    url: stack.url,
    caFile: stack.cluster.caFile,
    watched: stack.watched,
  };
}

/** What the Postgres and the Redis in use can do at most. */
async function prepareStoreLimits(stack: BenchStack, seconds: number) {
  const commits = await openCommitLimit(stack.postgresUrl);
  const jobs = await openJobLimit(stack.redisPort);
  const { postgres, redis } = stack;
  const ms = seconds * 1_000;
  const works: Work[] = [
    ...COMMITTERS.map((count) => ({
      bench: 'limits',
      name: `one-row commits, ${count} at a time`,
      sides: [
        { name: 'Postgres', isLimit: true, watched: [postgres], run: () => commits.run(count, ms) },
      ],
    })),
    ...ASKERS.map((count) => ({
      bench: 'limits',
      name: `job round trips, ${count} at a time`,
      sides: [
        {
          name: 'BullMQ',
          isLimit: true,
          watched: [redis, { name: 'worker', pid: jobs.workerPid }],
          run: () => jobs.run(count, ms),
        },
      ],
    })),
  ];
  return {
    works,
    close: async () => {
      await jobs.close();
      await commits.close();
    },
  };
}
