import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { gather, gatherQuestions, type GatherOptions } from './gather.ts';

/** Records what goes together; each go lasts until it is ended. */
function recorded(options: GatherOptions<number>) {
  const goes: number[][] = [];
  const ends: (() => void)[] = [];
  const add = gather<number>((items) => {
    goes.push([...items]);
    return new Promise<void>((resolve) => ends.push(resolve));
  }, options);
  return {
    goes,
    add: (...items: number[]) => items.forEach(add),
    end: async (at: number) => {
      ends[at]?.();
      await turn();
    },
  };
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

describe('gathering', () => {
  test('sends one alone at once', async () => {
    const { add, goes } = recorded({ underWay: 1, most: 10 });

    add(1);
    await turn();

    expect(goes).toEqual([[1]]);
  });

  test('lets those wait who come while enough is under way, and sends them together', async () => {
    const { add, goes, end } = recorded({ underWay: 1, most: 10 });
    add(1);
    await turn();
    add(2);
    await turn();
    add(3, 4);
    await turn();
    expect(goes).toEqual([[1]]);

    await end(0);

    expect(goes).toEqual([[1], [2, 3, 4]]);
  });

  test.each([
    [1, [[1]]],
    [4, [[1, 2, 3], [4]]],
    [
      12,
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
      ],
    ],
  ])('spreads %i over the goes there may be', async (many, expected) => {
    const { add, goes } = recorded({ underWay: 3, most: 10, fewest: 3 });

    add(...upTo(many));
    await turn();

    expect(goes).toEqual(expected);
  });

  test('sends no more than may go together', async () => {
    const { add, goes, end } = recorded({ underWay: 1, most: 2 });
    add(...upTo(5));
    await turn();
    await end(0);
    await end(1);

    expect(goes).toEqual([[1, 2], [3, 4], [5]]);
  });

  test('sends no more weight than may go together, and what is too heavy alone', async () => {
    const options = { underWay: 9, most: 9, fewest: 9, weightOf: (item: number) => item };
    const { add, goes } = recorded({ ...options, heaviest: 10 });

    add(4, 6, 1, 50, 2, 3);
    await turn();

    expect(goes).toEqual([[4, 6], [1], [50], [2, 3]]);
  });

  test('does not let what hangs keep others waiting for long', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { add, goes, end } = recorded({ underWay: 1, most: 10, patience: 100 });
    add(1);
    await turn();
    add(2);
    await turn();
    expect(goes).toEqual([[1]]);

    vi.advanceTimersByTime(100);
    expect(goes).toEqual([[1], [2]]);

    await end(0);
    add(3);
    await turn();
    expect(goes).toHaveLength(2); // what was given up frees nothing twice
  });

  test('goes on after what fails', async () => {
    const goes: number[][] = [];
    const add = gather<number>(
      async (items) => {
        goes.push([...items]);
        throw new Error('lost');
      },
      { underWay: 1, most: 10 },
    );
    add(1);
    await turn();
    add(2);
    await turn();

    expect(goes).toEqual([[1], [2]]);
  });
});

describe('gathered questions', () => {
  test('have their own answers', async () => {
    const ask = gatherQuestions(
      async (questions: readonly number[]) => questions.map((question) => question * 2),
      { underWay: 1, most: 3 },
    );

    expect(await Promise.all(upTo(10).map(ask))).toEqual(upTo(10).map((each) => each * 2));
  });

  test('fail together, and those who come later do not', async () => {
    let fails = true;
    const ask = gatherQuestions(
      async (questions: readonly number[]) => {
        if (fails) throw new Error('away');
        return questions;
      },
      { underWay: 1, most: 10 },
    );
    const results = await Promise.allSettled([ask(1), ask(2)]);
    fails = false;

    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await ask(3)).toBe(3);
  });

  test('that get no answer fail, though others are answered', async () => {
    const ask = gatherQuestions(async (questions: readonly number[]) => questions.slice(0, 1), {
      underWay: 1,
      most: 10,
    });
    const results = await Promise.allSettled([ask(1), ask(2)]);

    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});
