import { describe, expect, test, vi } from 'vitest';
import { gather } from './gather.ts';

/** Questions that are answered with themselves, when the test says so. */
function questions(fits: (chosen: readonly string[], item: string) => boolean = () => true) {
  const rounds: { readonly items: readonly string[]; readonly end: (error?: Error) => void }[] = [];
  const ask = gather<string, string>({
    fits,
    ask: (items) =>
      new Promise((resolve, reject) => {
        const outcomes = items.map((item): PromiseSettledResult<string> =>
          item.startsWith('bad')
            ? { status: 'rejected', reason: new Error(item) }
            : { status: 'fulfilled', value: item },
        );
        rounds.push({
          items,
          end: (error) => (error === undefined ? resolve(outcomes) : reject(error)),
        });
      }),
  });
  const asked = () => rounds.map(({ items }) => items);
  return { ask, rounds, asked };
}

describe('questions that are gathered', () => {
  test('go at once when nobody is under way, and together otherwise', async () => {
    const { ask, rounds, asked } = questions();
    const first = ask('a');
    const others = [ask('b'), ask('c')];
    expect(asked()).toEqual([['a']]);

    rounds[0]?.end();
    expect(await first).toBe('a');
    await vi.waitFor(() => expect(asked()).toEqual([['a'], ['b', 'c']]));
    rounds[1]?.end();

    expect(await Promise.all(others)).toEqual(['b', 'c']);
  });

  test('keep their own answers: one that fails harms no other', async () => {
    const { ask, rounds } = questions();
    void ask('a');
    const asked = Promise.allSettled([ask('b'), ask('bad c'), ask('d')]);
    rounds[0]?.end();
    await vi.waitFor(() => expect(rounds).toHaveLength(2));
    rounds[1]?.end();

    expect((await asked).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
  });

  test('all hear of a failure of their round, and the next round goes on', async () => {
    const { ask, rounds } = questions();
    const first = ask('a');
    const second = ask('b');
    rounds[0]?.end(new Error('gone'));

    await expect(first).rejects.toThrow('gone');
    await vi.waitFor(() => expect(rounds).toHaveLength(2));
    rounds[1]?.end();
    expect(await second).toBe('b');
  });

  test('that do not fit go later, and the first of those who wait always goes', async () => {
    const { ask, rounds, asked } = questions((chosen, item) => !chosen.includes(item));
    void ask('a');
    const rest = [ask('x'), ask('x'), ask('y'), ask('x')];
    for (let round = 0; round < 4; round += 1) {
      await vi.waitFor(() => expect(rounds).toHaveLength(round + 1));
      rounds[round]?.end();
    }

    expect(await Promise.all(rest)).toEqual(['x', 'x', 'y', 'x']);
    expect(asked()).toEqual([['a'], ['x', 'y'], ['x'], ['x']]);
  });

  test('are not held up for ever by a round that hangs', async () => {
    const { ask, rounds } = questions();
    void ask('hangs');
    const next = ask('b');
    await vi.waitFor(() => expect(rounds).toHaveLength(2), { timeout: 5_000 });
    rounds[1]?.end();

    expect(await next).toBe('b');
  });
});
