/** Numbers that look random and are the same for the same seed. */
export interface Random {
  /** At least `low`, below `high`. */
  between(low: number, high: number): number;
  pick<Item>(items: readonly Item[]): Item;
  /** Another source, so that what draws from it does not change what draws from this one. */
  fork(): Random;
}

/** Mulberry32: 32 bits of state, good enough to choose when something is killed. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    between: (low, high) => low + next() * (high - low),
    pick: (items) => {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new RangeError('nothing to pick from');
      return item;
    },
    fork: () => createRandom(Math.floor(next() * 2 ** 32)),
  };
}
