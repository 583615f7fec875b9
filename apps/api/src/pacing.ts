import { TufError, type Gun } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';

/** Losers that are told at once, after a while without any. */
const BURST = 4;
/** Between the answers to two losers, in milliseconds. */
const SPACING = 25;
/** The same while others keep publishing to that repository. */
const CROWDED_SPACING = 200;
/** Whoever published so many milliseconds ago is taken to go on. */
const GOING_ON = 250;
/** No loser waits longer, in milliseconds. */
const LONGEST = 5_000;

/** Repositories whose races are kept in mind. */
const REPOSITORIES = 1000;

/**
 * Spreads the answers to those who lost a race. Told all at once, they read, sign and post all at once
 * again, and of so many one wins: with 64 publishers the work for one accepted update is that of 64.
 *
 * A few are told at once, so that it costs nobody anything where few race. A crowd is told one after the
 * other, and nobody while an update is under way: who is told then reads what that update is about to
 * replace, and loses again.
 */
export interface Pace {
  /** Somebody wants to publish to that repository. */
  arrived(gun: Gun): void;
  /** An update of it, which nobody has overtaken, is under way until the function returned is called. */
  begun(gun: Gun): () => void;
  /** Resolves when a loser of a race for it may be told. */
  lost(gun: Gun): Promise<void>;
}

/**
 * Publishes, and tells who was overtaken in its time. To be put around whatever bounds the work that is
 * done at once: a loser who waits to be told does none.
 */
export async function inItsTime<Result>(
  pace: Pick<Pace, 'arrived' | 'lost'>,
  gun: Gun,
  publish: () => Promise<Result>,
): Promise<Result> {
  pace.arrived(gun);
  try {
    return await publish();
  } catch (error) {
    if (error instanceof TufError && error.code === 'OLD_VERSION') await pace.lost(gun);
    throw error;
  }
}

/** `now` in milliseconds that only go up. */
export function createPace(now: () => number = () => performance.now()): Pace {
  const races = new LRUCache<Gun, Race>({ max: REPOSITORIES });
  const raceFor = (gun: Gun): Race => {
    const race = races.get(gun) ?? new Race(now);
    races.set(gun, race);
    return race;
  };
  return {
    arrived: (gun) => raceFor(gun).arrived(),
    begun: (gun) => raceFor(gun).begun(),
    lost: (gun) => raceFor(gun).lost(),
  };
}

interface Loser {
  readonly since: number;
  readonly tell: () => void;
}

/** For one repository. */
class Race {
  readonly #now: () => number;
  readonly #losers: Loser[] = [];
  #underWay = 0;
  #arrived = -Infinity;
  #told = -Infinity;
  /** Until when answers at once are spoken for. */
  #taken = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  arrived(): void {
    this.#arrived = this.#now();
  }

  begun(): () => void {
    this.#underWay += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#underWay -= 1;
      this.#tellThoseDue();
    };
  }

  lost(): Promise<void> {
    const at = this.#now();
    const slot = Math.max(this.#taken, at - BURST * SPACING) + SPACING;
    if (this.#losers.length === 0 && slot <= at) {
      this.#taken = slot;
      return Promise.resolve();
    }
    return new Promise((tell) => {
      this.#losers.push({ since: at, tell });
      this.#tellThoseDue();
    });
  }

  #tellThoseDue(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const [first] = this.#losers;
      if (first === undefined) return;
      const at = this.#now();
      const due = this.#dueAt(first, at);
      if (due > at) {
        this.#timer = setTimeout(() => this.#tellThoseDue(), due - at);
        return;
      }
      this.#losers.shift();
      this.#told = at;
      this.#taken = Math.max(this.#taken, at - BURST * SPACING) + SPACING;
      first.tell();
    }
  }

  #dueAt({ since }: Loser, at: number): number {
    const latest = since + LONGEST;
    if (this.#underWay > 0) return latest;
    const isCrowded = at - this.#arrived < GOING_ON;
    const next = isCrowded
      ? Math.min(this.#told + CROWDED_SPACING, this.#arrived + GOING_ON)
      : this.#told + SPACING;
    return Math.min(latest, next);
  }
}
