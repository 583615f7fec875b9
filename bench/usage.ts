import { readdirSync, readFileSync } from 'node:fs';

/** A program whose use of the machine is told: a process, and all that it has started. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
}

/** What a program has used up to now. */
export interface Usage {
  /** Another one where the program was started again: then its CPU counts from there. */
  readonly pid: number;
  /** CPU of the whole tree since its start, in microseconds; those that have ended included. */
  readonly cpu: number;
  /** Memory that is in use now, in bytes; shared pages count once. */
  readonly memory: number;
}

/** Linux counts CPU in hundredths of a second, on every machine that we run on. */
const MICROSECONDS_PER_TICK = 10_000;

export function usageOf(programs: readonly Watched[]): ReadonlyMap<string, Usage> {
  const children = childrenByParent();
  return new Map(
    programs.map(({ name, pid }) => {
      const tree = treeOf(pid, children);
      const sum = (of: (pid: number) => number) =>
        tree.reduce((total, each) => total + of(each), 0);
      return [name, { pid, cpu: sum(cpuOf), memory: sum(memoryOf) }];
    }),
  );
}

function treeOf(pid: number, children: ReadonlyMap<number, readonly number[]>): number[] {
  return [pid, ...(children.get(pid) ?? []).flatMap((child) => treeOf(child, children))];
}

function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const pid of readdirSync('/proc').map(Number)) {
    const parent = Number(statOf(pid)?.[1] ?? 0);
    if (pid > 0 && parent > 0) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  return children;
}

/** The fields of /proc/PID/stat from the third one on, `state`; undefined when the process is gone. */
function statOf(pid: number): readonly string[] | undefined {
  try {
    // "pid (name) state …", and a name may hold anything
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
  } catch {
    return undefined;
  }
}

/** utime, stime, and those of children that have ended. */
function cpuOf(pid: number): number {
  const ticks = statOf(pid)?.slice(11, 15).map(Number) ?? [];
  return ticks.reduce((sum, each) => sum + each, 0) * MICROSECONDS_PER_TICK;
}

/** Its share of the pages that it has; where that is not to be seen, all of them. */
function memoryOf(pid: number): number {
  return (
    kilobytes(`/proc/${pid}/smaps_rollup`, /^Pss:\s+(\d+) kB$/m) ??
    kilobytes(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB$/m) ??
    0
  );
}

function kilobytes(file: string, line: RegExp): number | undefined {
  try {
    const [, digits] = line.exec(readFileSync(file, 'utf8')) ?? [];
    return digits === undefined ? undefined : Number(digits) * 1024;
  } catch {
    return undefined;
  }
}

/** CPU of this process's children that have ended, in microseconds. */
export function childrenCpu(): number {
  const ticks = statOf(process.pid)?.slice(13, 15).map(Number) ?? [];
  return ticks.reduce((sum, each) => sum + each, 0) * MICROSECONDS_PER_TICK;
}
