/** What became of an input: it was understood, or it was refused in the way that its reader refuses. */
export type Verdict = 'value' | 'refusal';

/** A target that is ready to be run. */
export interface Opened {
  /** Throws where an input was neither understood nor refused as it should be. */
  readonly run: (input: Uint8Array) => Verdict | Promise<Verdict>;
  /** Inputs that cannot lie in the corpus, because keys or ports are made anew. */
  readonly seeds?: readonly Uint8Array[];
  readonly close?: () => Promise<void>;
}

/** One reader of what others wrote. */
export interface Target {
  /** Also that of its folder in `corpus/`. */
  readonly name: string;
  /** What inputs of this kind are made of. */
  readonly words: readonly string[];
  /** Runs in the short form; those over a socket take longer. */
  readonly runs: number;
  readonly open: () => Opened | Promise<Opened>;
}

type ErrorClass = abstract new (...args: never[]) => Error;

/** Runs a reader: what it throws must be one of its own refusals, or it is thrown on. */
export async function verdictOf(
  read: () => unknown,
  ...refusals: readonly ErrorClass[]
): Promise<Verdict> {
  try {
    await read();
    return 'value';
  } catch (error) {
    if (refusals.some((refusal) => error instanceof refusal)) return 'refusal';
    throw error;
  }
}

/** Says what an input broke, where it is no error that did. */
export function expectSame(actual: unknown, expected: unknown, what: string): void {
  if (Object.is(actual, expected)) return;
  throw new Error(`${what}: ${show(actual)}, where it should be ${show(expected)}`);
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 300)) : String(value);
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Input as text, for readers that are handed text. */
export function textOf(input: Uint8Array): string {
  return utf8.decode(input);
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
