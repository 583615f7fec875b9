/** How much of something is done at once, in one process. */
export interface TurnstileLimits {
  readonly places: number;
  /** Who wait for a place. */
  readonly waiting: number;
  /** How long they wait, in milliseconds. */
  readonly waitMs: number;
}

/** Lets so many work at once, and others wait for a while, in the order in which they came. */
export interface Turnstile {
  /** Throws what `turnAway` throws where there is no place in time. */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
  working(): number;
  waiting(): number;
  /** How many found no place in time, since it was made. */
  turnedAway(): number;
}

/** `what` names those who work, for the reason that `turnAway` is told. */
export function createTurnstile(
  limits: TurnstileLimits,
  what: string,
  turnAway: (reason: string) => never,
): Turnstile {
  const queue = new Set<() => void>();
  let working = 0;
  let turnedAway = 0;

  const refuse = (reason: string): never => {
    turnedAway += 1;
    return turnAway(reason);
  };

  /** Resolves when it may begin; its place has been taken then. */
  const turn = async (): Promise<void> => {
    if (working < limits.places) {
      working += 1;
      return;
    }
    if (queue.size >= limits.waiting) refuse(`${queue.size} ${what} are waiting`);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const begin = () => resolve(true);
    queue.add(begin);
    const timer = setTimeout(() => {
      if (queue.delete(begin)) resolve(false);
    }, limits.waitMs);
    const isIn = await promise;
    clearTimeout(timer);
    if (!isIn) refuse(`no place among ${limits.places} ${what} came free in time`);
  };

  const next = () => {
    const [first] = queue;
    if (first === undefined) {
      working -= 1;
      return;
    }
    queue.delete(first); // the place goes from one to the other
    first();
  };

  return {
    async run(work) {
      await turn();
      try {
        return await work();
      } finally {
        next();
      }
    },
    working: () => working,
    waiting: () => queue.size,
    turnedAway: () => turnedAway,
  };
}
