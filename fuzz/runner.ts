import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
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
  /** Told of each input before it is run: it may be the last. */
  onInput: (input: Uint8Array) => void = () => {},
): Promise<Outcome> {
  const opened = await target.open();
  try {
    return await fuzzOpened(target, opened, length, onInput);
  } finally {
    await opened.close?.();
  }
}

async function fuzzOpened(
  target: Target,
  { run, seeds = [] }: Opened,
  { seed, runs, seconds }: Length,
  onInput: (input: Uint8Array) => void,
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
  const details = await fc.check(fc.asyncProperty(inputs(known, target.words), runOne), {
    seed,
    numRuns: runs,
    interruptAfterTimeLimit: seconds * 1000,
    markInterruptAsFailure: false,
  });
  const [input] = details.counterexample ?? [];
  return input === undefined
    ? { verdicts }
    : { verdicts, found: { input, error: details.errorInstance } };
}
