import type { Gun } from '@scrivener/tuf';

/** What there is beside the generation that is live. */
export type Other = 'empty' | 'building' | 'kept';

/** Which generation of the read model GETs read, and how far both of them have got. */
export interface Serving {
  /** The number of the live one: 1, 2, 3 … */
  readonly generation: number;
  readonly checkpoint: number;
  readonly since: Date;
  readonly other: {
    readonly state: Other;
    readonly generation: number;
    readonly checkpoint: number;
  };
}

/** A row that one generation has and the other has not, or has with another content. */
export interface Difference {
  /** As in `live_metafiles`, `live_changefeed` or `live_expiries`. */
  readonly table: 'metafiles' | 'changefeed' | 'expiries';
  /** Undefined where the log has no such repository. */
  readonly gun: Gun | undefined;
  /** Its columns by name, as PostgreSQL writes them in JSON; undefined where there is no such row. */
  readonly live: string | undefined;
  readonly rebuilt: string | undefined;
}

/** How far a rebuild has got. */
export interface RebuildProgress {
  readonly phase: 'projecting' | 'comparing';
  /** Events, or shares of the read model. */
  readonly done: number;
  readonly total: number;
}

export interface RebuildOptions {
  /** Throws away what an earlier rebuild left unfinished, rather than going on with it. */
  readonly fromStart?: boolean;
  /** Told of each difference, once or more often; whether it may be. Absent: nothing is compared. */
  readonly approve?: (difference: Difference) => boolean;
  readonly onProgress?: (progress: RebuildProgress) => void;
}

/** What became of it. */
export type Rebuilt =
  /** The new generation is live, from this position of the log on. */
  | { readonly result: 'live'; readonly generation: number; readonly position: number }
  /** Nothing changed: so many differences were not approved. The new generation stays as it is. */
  | { readonly result: 'different'; readonly differences: number };

/**
 * Two generations of the read model side by side, of which one is live (ADR 0025). Whatever is killed
 * in whatever moment, one whole generation is live, and both lie on the log.
 */
export interface Generations {
  serving(): Promise<Serving>;

  /**
   * Builds the other generation from the log, compares every row of both as of one moment, and makes
   * it live if they are the same. Readers and writers go on meanwhile: projecting pauses twice, for as
   * long as a few events take. Goes on where an earlier one was killed. Throws `ReadModelError`:
   * `REBUILDING` where another one is under way.
   */
  rebuild(options?: RebuildOptions): Promise<Rebuilt>;

  /** Makes the generation live that was before: the way back. Throws `NOTHING_KEPT`, `REBUILDING`. */
  back(options?: Pick<RebuildOptions, 'onProgress'>): Promise<Rebuilt>;

  /** Throws the other generation away, kept or unfinished. Throws `REBUILDING`. */
  drop(): Promise<void>;

  /** Projects the next events for the generation that is kept, so that the way back is short. */
  catchUp(): Promise<'more' | 'idle'>;

  close(): Promise<void>;
}
