import { setTimeout as sleep } from 'node:timers/promises';
import { spreadOf, type Sample, type Series, type Share } from './series.ts';
import { usageOf, type Usage, type Watched } from './usage.ts';

/** Somebody who can do a piece of work. */
export interface Side {
  readonly name: string;
  readonly isLimit?: boolean;
  readonly watched: readonly Watched[];
  readonly run: () => Promise<Sample>;
}

/** A piece of work, and all who do it. */
export interface Work {
  readonly bench: string;
  readonly name: string;
  readonly sides: readonly Side[];
}

/** What one run was, and what each program used in it. */
interface Run extends Sample {
  readonly cpu: ReadonlyMap<string, number>;
  readonly memory: ReadonlyMap<string, number>;
}

/** Between two runs, in milliseconds: what was left to do in the background gets done. */
const PAUSE = 150;

/**
 * Lets all sides do all work, `runs` times. Sides take turns, each run beginning with another one, so
 * that whatever else the machine does at a time meets all of them: the ratios hold on a busy one.
 */
export async function contest(
  works: readonly Work[],
  runs: number,
  say: (line: string) => void,
): Promise<Series[]> {
  const done = new Map<Side, Run[]>();
  for (let round = 0; round < runs; round += 1) {
    for (const { bench, name, sides } of works) {
      const first = round % sides.length;
      const order = [...sides.slice(first), ...sides.slice(0, first)];
      for (const side of order) {
        const run = await runOnce(side);
        done.set(side, [...(done.get(side) ?? []), run]);
        const rate = Math.round(run.operations / run.seconds);
        const failures = run.failed === 0 ? '' : `, ${run.failed} FAILED: ${run.problem ?? ''}`;
        say(`${round + 1}/${runs} ${bench}: ${name}: ${side.name}: ${rate} /s${failures}`);
        await sleep(PAUSE);
      }
    }
  }
  return works.flatMap(({ bench, name, sides }) =>
    sides.map((side) => seriesOf(bench, name, side, done.get(side) ?? [])),
  );
}

async function runOnce({ watched, run }: Side): Promise<Run> {
  const before = usageOf(watched);
  const sample = await run();
  const after = usageOf(watched);
  const served = Math.max(1, sample.served ?? sample.operations);
  const each = (figure: (after: Usage, before: Usage | undefined) => number) =>
    new Map([...after].map(([name, usage]) => [name, figure(usage, before.get(name))]));
  return {
    ...sample,
    cpu: new Map([
      ...each(({ pid, cpu }, earlier) => (cpu - (earlier?.pid === pid ? earlier.cpu : 0)) / served),
      ...Object.entries(sample.ownCpu ?? {}),
    ]),
    memory: each(({ memory }) => memory),
  };
}

function seriesOf(bench: string, work: string, side: Side, runs: readonly Run[]): Series {
  const times = (of: (run: Run) => number | undefined) => {
    const values = runs.map(of).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : spreadOf(values);
  };
  const [p50, p99] = [times((run) => run.p50), times((run) => run.p99)];
  const problem = runs.find((run) => run.problem !== undefined)?.problem;
  const share = (name: string): Share => {
    const memoryByRun = runs.map(({ memory }) => memory.get(name) ?? 0);
    return {
      cpu: spreadOf(runs.map(({ cpu }) => cpu.get(name) ?? 0)),
      memory: spreadOf(memoryByRun),
      memoryByRun,
    };
  };
  const programs = new Set([
    ...side.watched.map(({ name }) => name),
    ...runs.flatMap(({ cpu }) => [...cpu.keys()]),
  ]);
  return {
    bench,
    work,
    side: side.name,
    rate: spreadOf(runs.map(({ operations, seconds }) => operations / seconds)),
    ...(p50 && { p50 }),
    ...(p99 && { p99 }),
    failed: runs.reduce((sum, { failed }) => sum + failed, 0),
    ...(problem !== undefined && { problem }),
    programs: Object.fromEntries([...programs].map((name) => [name, share(name)])),
    isLimit: side.isLimit ?? false,
  };
}
