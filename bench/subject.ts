import type { Watched } from './usage.ts';

/** The server that is measured. */
export interface Subject {
  readonly name: string;
  readonly url: string;
  readonly caFile: string;
  readonly watched: readonly Watched[];
}
