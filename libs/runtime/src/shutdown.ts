import type { Logger } from './logger.ts';
import { flushTraces } from './tracing.ts';

/** How long a drain may take before the process ends all the same, in milliseconds. */
const DRAIN_LIMIT = 15_000;

/**
 * On SIGTERM or SIGINT: runs `drain` once, then exits 0; exits 1 when that fails or takes longer
 * than `limitMs`, 15 s where it is absent. Further signals do nothing, so that a terminal's Ctrl-C cannot cut a drain short.
 */
export function drainOnSignal(
  logger: Logger,
  drain: () => Promise<void>,
  limitMs = DRAIN_LIMIT,
): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    logger.info(`${signal}: draining`);
    setTimeout(() => {
      logger.error('drain took too long');
      process.exit(1);
    }, limitMs).unref();
    drainAll(drain).then(
      () => {
        logger.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        logger.error({ err: error }, 'drain failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** The last spans leave when everything else is done. */
async function drainAll(drain: () => Promise<void>): Promise<void> {
  try {
    await drain();
  } finally {
    await flushTraces();
  }
}
