import { expect, test } from 'vitest';
import { runChaos } from './chaos.ts';
import { runFlushes } from './flushes.ts';
import { outageScenario } from './outages.ts';
import { runDurability } from './durability.ts';
import { expiredScenario } from './expired.ts';
import { FAULT_KINDS } from './faults.ts';
import { reportOf } from './report.ts';
import { raceScenario } from './races.ts';

// The short form of `npm run torture` (docs/torture.md).

const SEED = 20_261;
const LONG = 180_000;
const quietly = () => {};
/** For an answer, in milliseconds: this runs on busy machines. `npm run torture` holds them to less. */
const limitMs = 25_000;

test(
  'whatever is killed, stopped, emptied or cut, nothing is lost and nothing is wrong',
  { timeout: LONG },
  async () => {
    const figures = await runChaos({
      seed: SEED,
      seconds: 20,
      publishers: 6,
      readers: 2,
      limitMs,
      faults: FAULT_KINDS,
      say: quietly,
    });

    const isFine = figures.history.violations.length === 0;
    expect(isFine ? [] : reportOf(`seed ${SEED}`, figures)).toEqual([]);
    expect(figures.faults.size).toBeGreaterThan(2);
    expect(figures.statesVerified).toBeGreaterThan(10);
  },
);

test(
  'whoever is killed at whatever moment, what was acknowledged is there, and whole',
  { timeout: LONG },
  async () => {
    const load = { seed: SEED, publishers: 6, readers: 2, limitMs, say: quietly };
    const figures = await runDurability({ ...load, publishes: 60, kills: 12 });

    const isFine = figures.history.violations.length === 0;
    expect(isFine ? [] : reportOf(`seed ${SEED}`, figures)).toEqual([]);
    expect([...figures.faults.values()].reduce((sum, times) => sum + times, 0)).toBe(12);
  },
);

test(
  'Redis is emptied again and again: what it held is asked for again, no key made twice',
  { timeout: LONG },
  async () => {
    const load = { seed: SEED, publishers: 4, readers: 1, limitMs, say: quietly };
    const figures = await runFlushes({ ...load, flushes: 8, everyMs: 500 });

    const isFine = figures.history.violations.length === 0;
    expect(isFine ? [] : reportOf(`seed ${SEED}`, figures)).toEqual([]);
    expect(figures.keys).toBeGreaterThan(12); // those of the repositories that were there before
  },
);

test(
  '64 publishers of one role: one wins each version, the others hear VERSION',
  { timeout: LONG },
  async () => {
    const options = { publishers: 64, rounds: 5, freeMs: 500, freeRuns: 1, say: quietly };

    expect((await raceScenario(options)).wrong).toEqual([]);
  },
);

test(
  '128 readers at once of an expired timestamp get the one new version',
  { timeout: LONG },
  async () => {
    const options = { readers: 128, repositories: 4, say: quietly };

    expect((await expiredScenario(options)).wrong).toEqual([]);
  },
);

test(
  'while a dependency is away there is an answer in time, reads go on, and health tells',
  { timeout: LONG },
  async () => {
    const options = { outageMs: 11_000, returnMs: 10_000, limitMs, say: quietly };

    const { wrong } = await outageScenario({
      ...options,
      only: ['redis hangs', 'postgres killed'],
    });
    expect(wrong).toEqual([]);
  },
);
