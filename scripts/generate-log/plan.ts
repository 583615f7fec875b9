import { parseGun, type Gun } from '@scrivener/tuf';
import { createRandom } from '../../e2e/torture/random.ts';

const DAY = 86_400_000;

/** What log is asked for. The same plan gives the same lives, however many threads live them. */
export interface LogPlan {
  readonly events: number;
  readonly collections: number;
  readonly seed: number;
  /** When the last events happen, in milliseconds: about now, or what the server signed has expired. */
  readonly end: number;
}

/** A repository before its life. */
export interface Birth {
  readonly gun: Gun;
  readonly seed: number;
  /** When its events happen, in milliseconds, ascending. */
  readonly times: readonly number[];
}

/** Fewer would not come to a publish. */
export const LEAST_EVENTS = 4;

/** Between two events of a repository on average, in milliseconds: its timestamp lives for 14 days. */
const PACE = 2 * DAY;

/** The owner's first certificates are good for ten years, and an owner whose root has none left is stuck. */
const LONGEST_LIFE = 9 * 365 * DAY;

/** Some repositories are busy and most are not. Together they have exactly as many events as asked. */
export function births({ events, collections, seed, end }: LogPlan): Birth[] {
  const random = createRandom(seed);
  const weights = Array.from({ length: collections }, () => 0.2 + random.between(0, 1) ** 6 * 8);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const spare = events - collections * LEAST_EVENTS;
  let given = 0;
  let weighed = 0;
  return weights.map((weight, index) => {
    weighed += weight;
    const upTo = index === collections - 1 ? spare : Math.floor((spare * weighed) / total);
    const count = LEAST_EVENTS + upTo - given;
    given = upTo;
    const own = random.fork();
    const first = end - Math.min(PACE * count, LONGEST_LIFE) * own.between(0.5, 1);
    const times = Array.from({ length: count }, () => Math.floor(own.between(first, end)));
    return {
      gun: gunOf(index),
      seed: Math.floor(own.between(0, 2 ** 32)),
      times: times.sort((a, b) => a - b),
    };
  });
}

function gunOf(index: number): Gun {
  const team = `team-${String(index % 97).padStart(2, '0')}`;
  const gun = parseGun(`registry.example/${team}/app-${String(index).padStart(6, '0')}`);
  if (gun === undefined) throw new Error('not a GUN');
  return gun;
}

/** Ends of stretches of time with about `size` events each, in milliseconds; the last one is Infinity. */
export function stretches(all: readonly Birth[], size: number): number[] {
  const times = Float64Array.from(all.flatMap((birth) => birth.times)).sort();
  const ends: number[] = [];
  for (let at = size; at < times.length; at += size) {
    const end = times[at] ?? Infinity;
    if (end !== ends.at(-1)) ends.push(end);
  }
  return [...ends, Infinity];
}
