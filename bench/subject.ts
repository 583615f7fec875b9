import type { LoadClient } from './load/load-client.ts';
import type { Watched } from './usage.ts';

/** The server that is measured. */
export interface Subject {
  readonly name: string;
  readonly url: string;
  readonly caFile: string;
  readonly watched: readonly Watched[];
}

/** A subject, and the process that publishes to it. */
export interface Contender {
  readonly subject: Subject;
  readonly client: LoadClient;
}

/** A contender, and what is read there. */
export interface ReadContender extends Contender {
  readonly guns: readonly string[];
}
