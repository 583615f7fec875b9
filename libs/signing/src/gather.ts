/** How many go together, and how many of such goes there are at a time. */
export interface GatherOptions<Item> {
  /** Goes at a time; who comes while there are as many waits and gathers. */
  readonly underWay: number;
  /** Items in one go. */
  readonly most: number;
  /** Fewer than these are not spread over several goes; 1 if not said. */
  readonly fewest?: number;
  /** In units of the caller's; one item that is heavier by itself goes alone. */
  readonly weightOf?: (item: Item) => number;
  readonly heaviest?: number;
  /** After that many milliseconds a go keeps nobody waiting any more, though it is not over. */
  readonly patience?: number;
}

/**
 * Sends items together with others that come at about the same time: one alone is sent at once, and
 * the more is under way the more go together. What `send` rejects with is its own affair.
 */
export function gather<Item>(
  send: (items: readonly Item[]) => Promise<unknown>,
  options: GatherOptions<Item>,
): (item: Item) => void {
  const { underWay: limit, patience } = options;
  const waiting: Item[] = [];
  let underWay = 0;
  let scheduled = false;

  const dispatch = () => {
    scheduled = false;
    for (let free = limit - underWay; free > 0 && waiting.length > 0; free -= 1) {
      go(takeFrom(waiting, free, options));
    }
  };
  const go = (items: readonly Item[]) => {
    underWay += 1;
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      underWay -= 1;
      dispatch();
    };
    const timer = patience === undefined ? undefined : setTimeout(end, patience);
    send(items).then(end, end);
  };
  return (item) => {
    waiting.push(item);
    // Not quite at once: what is asked in the same turn of the event loop goes together.
    if (!scheduled) setImmediate(dispatch);
    scheduled = true;
  };
}

/** `gather` for questions that have answers, which `ask` gives in the order of the questions. */
export function gatherQuestions<Question, Answer>(
  ask: (questions: readonly Question[]) => Promise<readonly Answer[]>,
  options: Pick<GatherOptions<unknown>, 'underWay' | 'most' | 'patience'>,
): (question: Question) => Promise<Answer> {
  interface Asked {
    readonly question: Question;
    readonly resolve: (answer: Answer | PromiseLike<Answer>) => void;
    readonly reject: (error: unknown) => void;
  }
  const add = gather<Asked>(async (asked) => {
    try {
      const answers = await ask(asked.map(({ question }) => question));
      asked.forEach(({ resolve, reject }, at) => {
        if (at in answers) resolve(answers[at] as Answer);
        else reject(new Error('a question among others was not answered'));
      });
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }, options);
  return (question) =>
    new Promise((resolve, reject) => {
      add({ question, resolve, reject });
    });
}

/** Of the first that wait, the share of one of `free` goes. */
function takeFrom<Item>(waiting: Item[], free: number, options: GatherOptions<Item>): Item[] {
  const { most, fewest = 1, weightOf = () => 0, heaviest = Infinity } = options;
  const share = Math.min(most, Math.max(fewest, Math.ceil(waiting.length / free)));
  let weight = 0;
  let count = 0;
  for (const item of waiting) {
    weight += weightOf(item);
    if (count === share || (count > 0 && weight > heaviest)) break;
    count += 1;
  }
  return waiting.splice(0, count);
}
