import { setTimeout as sleep } from 'node:timers/promises';

const ATTEMPTS = 10;
/** In milliseconds: a server that ended is back by then, and a busy one has had some rest. */
const REST = 1_000;

/** For what is not measured: does it until it succeeds, ten times at most, and throws what the last one threw. */
export async function again<Value>(work: () => Promise<Value>): Promise<Value> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await sleep(REST);
    }
  }
}
