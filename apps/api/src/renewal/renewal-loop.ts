import { setTimeout as sleep } from 'node:timers/promises';
import type { Due, Expiries, RenewalPolicy } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { Gun } from '@scrivener/tuf';
import type { CountRenewal } from './expiry-metrics.ts';
import type { Renew } from './renew.ts';

/** When roles that the server signs get their next version, and how fast. */
export interface RenewalSettings extends RenewalPolicy {
  readonly enabled: boolean;
  /** Repositories that one process renews in a second at most. */
  readonly perSecond: number;
  /** How often a process looks for what is due while nothing is, in milliseconds. */
  readonly pollMs: number;
  /** How long a repository rests after a renewal that failed, in milliseconds. */
  readonly retryMs: number;
}

interface Dependencies {
  readonly expiries: Pick<Expiries, 'claim' | 'release'>;
  readonly renew: Renew;
  readonly count: CountRenewal;
  readonly logger: Logger;
  readonly now: () => Date;
}

/** What a round came to, in repositories. */
export interface Round {
  readonly claimed: number;
  readonly failed: number;
}

/** Repositories that are renewed at once, for the sake of the signer and of the database. */
const AT_ONCE = 20;

/** How long a claim lasts whose process has died, in milliseconds; much longer than a renewal may. */
const LEASE = 60_000;

/** How many repositories a round claims. */
export function roundSize({ perSecond }: Pick<RenewalSettings, 'perSecond'>): number {
  return Math.min(perSecond, AT_ONCE);
}

/**
 * One round of the renewal ahead of expiry: claims repositories that are due and signs their next
 * versions. What to do stands in the read model; any number of processes may do it, and whatever dies
 * in between is left to the next round after its claim. Two that work on the same repository all the
 * same, because a clock is wrong, are parted by the log: a version that was seen to be due is followed
 * once.
 */
export function createRenewalRound(
  { expiries, renew, count, logger, now }: Dependencies,
  settings: RenewalSettings,
): () => Promise<Round> {
  const { lifeLeft, jitter, retryMs } = settings;
  const limit = roundSize(settings);

  const renewOne = async ({ gun, roles }: Due): Promise<boolean> => {
    try {
      const outcome = await renew(gun, roles);
      if (outcome === 'renewed') count('schedule', 'renewed');
      if (outcome !== 'impossible') return true;
      logger.error({ gun }, 'metadata cannot be renewed: the server does not hold its keys');
    } catch (err) {
      logger.error({ err, gun }, 'metadata not renewed ahead of its expiry; will try again');
    }
    count('schedule', 'failed');
    return false;
  };

  return async () => {
    const at = now();
    const until = new Date(at.getTime() + LEASE);
    const due = await expiries.claim({ now: at, until, limit, lifeLeft, jitter });
    const done = await Promise.all(due.map(renewOne));

    const guns = (was: boolean): Gun[] =>
      due.filter((_, index) => done[index] === was).map(({ gun }) => gun);
    const [renewed, failed] = [guns(true), guns(false)];
    if (renewed.length > 0) await expiries.release(renewed);
    if (failed.length > 0) {
      await expiries.release(failed, new Date(now().getTime() + retryMs));
    }
    return { claimed: due.length, failed: failed.length };
  };
}

/**
 * Renews for as long as the process lives, at a bounded rate. Where nothing at all could be renewed,
 * the signer is away, and everybody rests. Resolves when `signal` is aborted; never rejects.
 */
export async function runRenewals(
  round: () => Promise<Round>,
  settings: RenewalSettings,
  { signal, onError }: { readonly signal: AbortSignal; readonly onError: (error: unknown) => void },
): Promise<void> {
  const { perSecond, pollMs, retryMs } = settings;
  const size = roundSize(settings);
  const pauseAfter = ({ claimed, failed }: Round, elapsed: number) => {
    if (claimed > 0 && failed === claimed) return retryMs;
    return claimed < size ? pollMs : Math.max(0, (size / perSecond) * 1_000 - elapsed);
  };

  while (!signal.aborted) {
    const started = performance.now();
    let pause = retryMs;
    try {
      pause = pauseAfter(await round(), performance.now() - started);
    } catch (error) {
      onError(error);
    }
    await sleep(pause, undefined, { signal }).catch(() => {}); // rejects when aborted
  }
}
