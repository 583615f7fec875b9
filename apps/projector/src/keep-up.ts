import { setTimeout as sleep } from 'node:timers/promises';
import type { Generations } from '@scrivener/read-model';

/** Between two looks, in milliseconds: it is for a way back, which catches up by itself. */
const PAUSE = 1_000;

export interface KeepUpOptions {
  readonly signal: AbortSignal;
  readonly onError: (error: unknown) => void;
}

/** Projects for the generation that is kept, where there is one, until `signal` is aborted. Never rejects. */
export async function keepUp(
  generations: Pick<Generations, 'catchUp'>,
  { signal, onError }: KeepUpOptions,
): Promise<void> {
  while (!signal.aborted) {
    try {
      if ((await generations.catchUp()) === 'more') continue;
    } catch (error) {
      onError(error);
    }
    await sleep(PAUSE, undefined, { signal }).catch(() => {}); // rejects when aborted
  }
}
