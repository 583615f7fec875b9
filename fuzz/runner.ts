import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import type { Coverage } from './coverage.ts';
import { inputs } from './inputs.ts';
import type { Opened, Target, Verdict } from './target.ts';

export const CORPUS = new URL('corpus/', import.meta.url);

/** No input may keep its reader busy for longer, in milliseconds. It is much, for machines are loaded. */
const LONGEST = 10_000;

export interface Length {
  readonly seed: number;
  /** Ends after so many inputs or so many seconds, whichever comes first. */
  readonly runs: number;
  readonly seconds: number;
}

/** Inputs between two looks at what code has run: a look costs milliseconds, and an input much less. */
const ROUND = 64;

/** What a guided run has, and others have not. */
export interface Guide {
  readonly coverage: Coverage;
  /** Told of each input that ran code which none before it had run. */
  readonly onNews: (input: Uint8Array) => void;
}

export interface Outcome {
  readonly verdicts: Readonly<Record<Verdict, number>>;
  /** The smallest input that was found to break the target, and how. */
  readonly found?: { readonly input: Uint8Array; readonly error: unknown };
}

/** The inputs in a target's folder, by their file names. */
export function corpusOf(name: string): ReadonlyMap<string, Uint8Array> {
  const folder = new URL(`${name}/`, CORPUS);
  return new Map(readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder))]));
}

/** Runs a target with all that is known, and then with what can be made of it. */
export async function fuzz(
  target: Target,
  length: Length,
  {
    onInput = () => {},
    guide,
  }: {
    /** Told of each input before it is run: it may be the last. */
    readonly onInput?: (input: Uint8Array) => void;
    /** With it, inputs that reach new code are made more of. */
    readonly guide?: Guide;
  } = {},
): Promise<Outcome> {
  const opened = await target.open();
  try {
    return await fuzzOpened(target, opened, length, onInput, guide);
  } finally {
    await opened.close?.();
  }
}

async function fuzzOpened(
  target: Target,
  { run, seeds = [] }: Opened,
  { seed, runs, seconds }: Length,
  onInput: (input: Uint8Array) => void,
  guide: Guide | undefined,
): Promise<Outcome> {
  const verdicts: Record<Verdict, number> = { value: 0, refusal: 0 };
  const runOne = async (input: Uint8Array) => {
    onInput(input);
    const begin = performance.now();
    verdicts[await run(input)] += 1;
    const took = performance.now() - begin;
    if (took > LONGEST) throw new Error(`an input of ${input.length} bytes took ${took} ms`);
  };

  const known = [...seeds, ...corpusOf(target.name).values()];
  for (const input of known) {
    try {
      await runOne(input);
    } catch (error) {
      return { verdicts, found: { input, error } };
    }
  }
  await guide?.coverage.markNew();

  const end = performance.now() + seconds * 1000;
  const round = guide === undefined ? runs : ROUND;
  for (let done = 0; done < runs; done += round) {
    const tried: Uint8Array[] = [];
    const details = await fc.check(
      fc.asyncProperty(inputs(known, target.words), async (input) => {
        if (guide !== undefined) tried.push(input);
        await runOne(input);
      }),
      {
        seed: seed + done,
        numRuns: Math.min(round, runs - done),
        interruptAfterTimeLimit: Math.max(0, end - performance.now()),
        markInterruptAsFailure: false,
      },
    );
    const [input] = details.counterexample ?? [];
    if (input !== undefined) return { verdicts, found: { input, error: details.errorInstance } };
    if (guide !== undefined) known.push(...(await newsAmong(tried, runOne, guide)));
    if (performance.now() >= end) break;
  }
  return { verdicts };
}

/** Those inputs of a round that reached new code: the round tells whether, and running them again which. */
async function newsAmong(
  tried: readonly Uint8Array[],
  runOne: (input: Uint8Array) => Promise<void>,
  { coverage, onNews }: Guide,
): Promise<readonly Uint8Array[]> {
  if (!(await coverage.reachedNew())) return [];
  const news: Uint8Array[] = [];
  for (const input of tried) {
    await runOne(input);
    if (!(await coverage.markNew())) continue;
    onNews(input);
    news.push(input);
  }
  return news;
}
