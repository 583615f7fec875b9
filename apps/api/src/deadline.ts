import { Unavailable } from './errors.ts';

/**
 * Gives `work` at most `timeoutMs`. After that its signal is aborted, so that it starts nothing
 * more, and this throws `Unavailable`: whoever waits gets an answer even where a dependency hangs.
 */
export async function withDeadline<Result>(
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      // Made here, for an error with its stack costs more than all else of this.
      const late = new Unavailable(`no answer within ${timeoutMs} ms`);
      controller.abort(late);
      reject(late);
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(controller.signal), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
