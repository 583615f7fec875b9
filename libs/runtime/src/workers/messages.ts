import type { LogLevel } from '../logger.ts';
import type { Figures } from '../monitoring/figures.ts';

/** What all workers have to tell, and how they fare. */
export interface Gathered {
  /** Of each that runs, and of those that have ended. */
  readonly figures: readonly Figures[];
  /** Those that serve. */
  readonly running: number;
  /** Those that ended unasked and had others started in their place. */
  readonly replaced: number;
}

/** What the primary sends a worker. */
export type ToWorker =
  | { readonly kind: 'level'; readonly level: LogLevel }
  | { readonly kind: 'alive?' }
  | { readonly kind: 'figures?'; readonly round: number }
  | { readonly kind: 'gathered'; readonly question: number; readonly gathered: Gathered };

/** What a worker sends the primary. */
export type ToPrimary =
  /** It serves. */
  | { readonly kind: 'up' }
  | { readonly kind: 'alive' }
  | { readonly kind: 'figures'; readonly round: number; readonly figures: Figures }
  | { readonly kind: 'gather'; readonly question: number };
