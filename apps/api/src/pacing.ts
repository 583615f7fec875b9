import { setTimeout as sleep } from 'node:timers/promises';
import type { Gun } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';

/** Between the answers to two losers of races for one repository, in milliseconds. */
const SPACING = 25;
/** Losers that need not wait, after a while without any. */
const BURST = 4;
/** No loser waits longer, in milliseconds. */
const LONGEST = 2000;

/** Repositories whose races are kept in mind. */
const REPOSITORIES = 1000;

/** Resolves when a loser of a race for that repository may be told. */
export type Pace = (gun: Gun) => Promise<void>;

/**
 * Spreads the answers to those who lost a race. Told all at once, they read, sign and post all at once
 * again, and of so many one wins: with 64 publishers the work for one accepted update is that of 64.
 * Told one after the other, most find nobody in their way. Costs nobody anything where few race.
 */
export function createPace(now: () => number = () => performance.now()): Pace {
  /** Until when the answers to losers are spoken for. */
  const taken = new LRUCache<Gun, number>({ max: REPOSITORIES });

  return async (gun) => {
    const at = now();
    const slot = Math.max(taken.get(gun) ?? 0, at - BURST * SPACING) + SPACING;
    taken.set(gun, slot);
    const wait = Math.min(slot - at, LONGEST);
    if (wait > 0) await sleep(wait);
  };
}
