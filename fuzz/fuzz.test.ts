import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CORPUS, corpusOf, fuzz } from './runner.ts';
import { targets } from './targets/index.ts';

/** The short form: always the same inputs. `npm run fuzz` looks for others, for as long as you like. */
const SEED = 4;
/** How often a target runs what it asks for: two minutes for all of them together. */
const TIMES = 8;
/** Of one target. No more than a stop: the runs are what is counted, and far from taking so long. */
const SECONDS = 20;

describe('the corpus', () => {
  test('has a folder for each target, and no other', () => {
    const names = targets.map(({ name }) => name);

    expect(readdirSync(CORPUS).sort()).toEqual(names.toSorted());
    expect(names.length).toBeGreaterThanOrEqual(15);
  });

  test.each(targets)('of $name is not empty', ({ name }) => {
    expect(corpusOf(name).size).toBeGreaterThan(0);
  });
});

describe('whatever is read', () => {
  test.each(targets)('$name understands it or refuses it well', async (target) => {
    const { verdicts, found } = await fuzz(target, {
      seed: SEED,
      runs: TIMES * target.runs,
      seconds: SECONDS,
    });

    if (found !== undefined) {
      const input = Buffer.from(found.input);
      throw new Error(`broken by ${JSON.stringify(input.toString('latin1'))}`, {
        cause: found.error,
      });
    }
    // A target that refuses everything, or nothing, looks at nothing.
    expect(verdicts.value).toBeGreaterThan(0);
    expect(verdicts.refusal).toBeGreaterThan(0);
  });
});
