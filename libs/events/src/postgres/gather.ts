/** How questions travel together. */
export interface Gathering<Item, Result> {
  /**
   * Asks for all of these at once; one outcome each, in their order. If it rejects, that is what all
   * of them hear.
   */
  readonly ask: (items: readonly Item[]) => Promise<readonly PromiseSettledResult<Result>[]>;
  /** Whether one more may go with those that are chosen already. The first always goes. */
  readonly fits: (chosen: readonly Item[], item: Item) => boolean;
}

/** A round that takes longer, in milliseconds, holds up nobody any more: it may never end. */
const PATIENCE = 250;

/**
 * Whoever comes alone is served at once. While that is under way the next ones gather, and go
 * together as soon as it has ended.
 */
export function gather<Item, Result>({
  ask,
  fits,
}: Gathering<Item, Result>): (item: Item) => Promise<Result> {
  interface Waiting {
    readonly item: Item;
    readonly settle: PromiseWithResolvers<Result>;
  }
  let waiting: Waiting[] = [];
  let isBusy = false;

  const choose = (): readonly Waiting[] => {
    const items: Item[] = [];
    const chosen: Waiting[] = [];
    const left: Waiting[] = [];
    for (const each of waiting) {
      const goes = items.length === 0 || fits(items, each.item);
      if (goes) items.push(each.item);
      (goes ? chosen : left).push(each);
    }
    waiting = left;
    return chosen;
  };

  const go = (): void => {
    if (isBusy || waiting.length === 0) return;
    isBusy = true;
    const chosen = choose();
    let hasMadeRoom = false;
    const makeRoom = (): void => {
      if (hasMadeRoom) return;
      hasMadeRoom = true;
      isBusy = false;
      go();
    };
    const patience = setTimeout(makeRoom, PATIENCE);
    void deliver(chosen).finally(() => {
      clearTimeout(patience);
      makeRoom();
    });
  };

  const deliver = async (chosen: readonly Waiting[]): Promise<void> => {
    try {
      const outcomes = await ask(chosen.map(({ item }) => item));
      for (const [index, { settle }] of chosen.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined) settle.reject(new Error('a question without an answer'));
        else if (outcome.status === 'fulfilled') settle.resolve(outcome.value);
        else settle.reject(outcome.reason);
      }
    } catch (error) {
      for (const { settle } of chosen) settle.reject(error);
    }
  };

  return (item) => {
    const settle = Promise.withResolvers<Result>();
    waiting.push({ item, settle });
    go();
    return settle.promise;
  };
}
