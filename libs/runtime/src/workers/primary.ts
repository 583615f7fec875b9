import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { changeLevelOnSignal, type Logger, type LogLevel } from '../logger.ts';
import { lastingFigures, mergeFigures, type Figures } from '../monitoring/figures.ts';
import { drainOnSignal } from '../shutdown.ts';
import type { ToPrimary, ToWorker } from './messages.ts';
import { WORKER } from './worker-number.ts';

/** In milliseconds. */
export interface PrimaryTimes {
  /** Until the first try to replace a worker; twice as long after each that soon ended, too. */
  readonly firstDelay: number;
  readonly longestDelay: number;
  /** A worker that has run for that long did not end soon. */
  readonly proven: number;
  /** Between two questions whether a worker is alive. */
  readonly watch: number;
  /** What a worker may take for its figures. */
  readonly figures: number;
  /** A worker that has not drained by then is killed. */
  readonly drain: number;
}

const TIMES: PrimaryTimes = {
  firstDelay: 100,
  longestDelay: 30_000,
  proven: 60_000,
  watch: 10_000,
  figures: 1_000,
  // A worker ends by itself after 15 s.
  drain: 17_000,
};

/** A worker that has left that many questions in a row unanswered hangs. */
const UNANSWERED = 3;

/** How a worker ended. */
interface End {
  readonly code: number | null;
  /** `SIGKILL`, `exit code 1`, or why it could not be started. */
  readonly how: string;
}

/** A process with a number, from its start to its end. */
interface Run {
  readonly number: number;
  readonly worker: Worker;
  readonly startedAt: number;
  readonly ended: Promise<End>;
  /** Settles when it serves. */
  readonly served: PromiseWithResolvers<void>;
  isUp: boolean;
  unanswered: number;
  /** What it last said about itself. */
  figures?: Figures;
}

interface Round {
  readonly waitFor: Set<Run>;
  readonly done: () => void;
}

/**
 * Runs `count` processes of this program, which share what they listen on, and nothing else in this
 * one. The first is started alone: where it ends before it serves, it has said why, and this process
 * ends as it did. After that, one that ends is replaced. On SIGTERM and SIGINT all of them drain, as
 * one process does. Resolves when the first one serves.
 */
export async function runPrimary(
  count: number,
  logger: Logger,
  times: PrimaryTimes = TIMES,
): Promise<void> {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  // Figures may be NaN, which JSON has no word for.
  cluster.setupPrimary({ serialization: 'advanced' });

  const runs = new Map<number, Run>();
  const rounds = new Map<number, Round>();
  const stopping = new AbortController();
  let changedLevel: LogLevel | undefined;
  /** What workers had counted that have ended. */
  const gone: Figures[] = [];
  let merging = Promise.resolve();
  let replaced = 0;
  let asked = 0;

  const upRuns = () => [...runs.values()].filter(({ isUp }) => isUp);
  const tellAll = (message: ToWorker) => {
    for (const run of upRuns()) tell(run, message);
  };

  const gather = async () => {
    const waitFor = new Set(upRuns());
    asked += 1;
    const round = asked;
    const late = new AbortController();
    await Promise.race([
      new Promise<void>((done) => {
        rounds.set(round, { waitFor, done });
        for (const run of waitFor) tell(run, { kind: 'figures?', round });
      }),
      sleep(times.figures, undefined, { signal: late.signal }),
    ]);
    late.abort();
    rounds.delete(round);
    const known = [...runs.values()].flatMap((run) => {
      if (run.figures === undefined) return [];
      return [waitFor.has(run) ? lastingFigures(run.figures) : run.figures];
    });
    return { figures: [...known, ...gone], running: upRuns().length, replaced };
  };

  const hear = (run: Run, message: ToPrimary) => {
    switch (message.kind) {
      case 'up':
        run.isUp = true;
        run.served.resolve();
        if (changedLevel !== undefined) tell(run, { kind: 'level', level: changedLevel });
        break;
      case 'alive':
        run.unanswered = 0;
        break;
      case 'figures': {
        run.figures = message.figures;
        const round = rounds.get(message.round);
        round?.waitFor.delete(run);
        if (round?.waitFor.size === 0) round.done();
        break;
      }
      case 'gather':
        void gather().then((gathered) =>
          tell(run, { kind: 'gathered', question: message.question, gathered }),
        );
        break;
    }
  };

  const start = (number: number): Run => {
    const worker = cluster.fork({ [WORKER]: String(number) });
    closeWhatIsOnItsWay(worker);
    const run: Run = {
      number,
      worker,
      startedAt: performance.now(),
      ended: endOf(worker),
      served: Promise.withResolvers(),
      isUp: false,
      unanswered: 0,
    };
    runs.set(number, run);
    worker.on('message', (message: ToPrimary) => hear(run, message));
    return run;
  };

  /** Resolves when the worker is gone; what it had counted is kept. */
  const over = async (run: Run): Promise<End> => {
    const end = await run.ended;
    runs.delete(run.number);
    for (const { waitFor, done } of rounds.values()) {
      waitFor.delete(run);
      if (waitFor.size === 0) done();
    }
    if (run.figures !== undefined) {
      gone.push(lastingFigures(run.figures));
      merging = merging.then(mergeGone, mergeGone);
    }
    return end;
  };

  /** Makes one of all, so that a program that fails over and over takes no more memory for it. */
  const mergeGone = async () => {
    const parts = [...gone];
    const merged = await mergeFigures(parts);
    gone.splice(0, parts.length, merged);
  };

  /** Has somebody run under this number until everything stops; resolves with the end of the last. */
  const keep = async (first: Run): Promise<End> => {
    let failures = 0;
    for (let run = first; ; run = start(first.number)) {
      const end = await over(run);
      if (stopping.signal.aborted) return end;
      if (performance.now() - run.startedAt > times.proven) failures = 0;
      const delay = Math.min(times.firstDelay * 2 ** failures, times.longestDelay);
      failures += 1;
      replaced += 1;
      logger.error(
        { worker: run.number, delay },
        `worker ${run.number} ended (${end.how}): starting another one in ${delay / 1000} s`,
      );
      await sleep(delay, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return { code: 0, how: 'was not started again' };
    }
  };

  const kept: Promise<End>[] = [];
  drainOnSignal(
    logger,
    async () => {
      stopping.abort();
      for (const { worker } of runs.values()) worker.process.kill('SIGTERM');
      const limit = setTimeout(() => {
        for (const { worker } of runs.values()) worker.process.kill('SIGKILL');
      }, times.drain);
      const ends = await Promise.all([...kept, ...[...runs.values()].map(({ ended }) => ended)]);
      clearTimeout(limit);
      // One that was asked to stop before it served ends by the signal.
      const failed = ends.find(({ code, how }) => code !== 0 && !/^SIG(?:TERM|INT)$/.test(how));
      if (failed !== undefined) throw new Error(`a worker ended by ${failed.how}`);
    },
    times.drain + 1_000,
  );
  changeLevelOnSignal(logger, (level) => {
    changedLevel = level;
    tellAll({ kind: 'level', level });
  });

  const first = start(1);
  const refusal = await Promise.race([first.served.promise, first.ended]);
  if (stopping.signal.aborted) return;
  if (typeof refusal === 'object') {
    // It said why, unless it was killed.
    if (refusal.code === null) logger.fatal(`the first worker did not start: ${refusal.how}`);
    process.exit(refusal.code ?? 1);
  }
  kept.push(keep(first));
  for (let number = 2; number <= count; number += 1) kept.push(keep(start(number)));

  setInterval(() => {
    for (const run of upRuns()) {
      if (run.unanswered >= UNANSWERED) {
        logger.error({ worker: run.number }, `worker ${run.number} hangs: killing it`);
        run.worker.process.kill('SIGKILL');
      }
      run.unanswered += 1;
      tell(run, { kind: 'alive?' });
    }
  }, times.watch).unref();
}

/** Who is gone hears nothing; that it is gone is seen elsewhere. */
function tell({ worker }: Run, message: ToWorker): void {
  if (worker.isConnected()) worker.process.send(message, undefined, {}, () => {});
}

/**
 * node:cluster gives each connection to a worker, one at a time, and forgets one that it had given to a
 * worker that died before it said that it has it: the client would wait for ever. Here it is closed, as
 * those are that the worker had.
 */
function closeWhatIsOnItsWay(worker: Worker): void {
  const { process } = worker;
  let onItsWay: Connection | undefined;
  const send = process.send.bind(process) as (...words: unknown[]) => boolean;
  process.send = (...words: unknown[]) => {
    if (isConnection(words[1])) [, onItsWay] = words as [unknown, Connection];
    return send(...words);
  };
  // Closed already, if the worker has it.
  worker.once('exit', () => onItsWay?.close());
}

/** What node:cluster sends: not a socket yet. */
interface Connection {
  close(): void;
}

function isConnection(handle: unknown): handle is Connection {
  return typeof handle === 'object' && handle !== null && 'close' in handle && 'fd' in handle;
}

/** Also where it could not so much as be started. */
function endOf(worker: Worker): Promise<End> {
  return new Promise((resolve) => {
    worker.once('exit', (code: number | null, signal: string | null) =>
      resolve({ code, how: signal ?? `exit code ${code}` }),
    );
    worker.on('error', (error: Error) => {
      if (worker.process.pid === undefined) resolve({ code: null, how: error.message });
    });
  });
}
