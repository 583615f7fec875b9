import type { ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { CountRenewal } from './expiry-metrics.ts';
import { createExpiryWatch, runExpiryWatch } from './expiry-watch.ts';
import type { Renew } from './renew.ts';
import { createRenewalRound, runRenewals, type RenewalSettings } from './renewal-loop.ts';

interface Dependencies {
  readonly readModel: Pick<ReadModel, 'expiries'>;
  readonly renew: Renew;
  readonly count: CountRenewal;
  readonly logger: Logger;
  readonly now: () => Date;
}

/**
 * What a server does unasked: it renews what it signs, and watches what clients have to renew.
 * Resolves when `signal` is aborted and what was under way is done; never rejects.
 */
export async function runBackground(
  { readModel: { expiries }, renew, count, logger, now }: Dependencies,
  settings: RenewalSettings,
  signal: AbortSignal,
): Promise<void> {
  const trouble = (what: string) => (err: unknown) => logger.error({ err }, what);
  const round = createRenewalRound({ expiries, renew, count, logger, now }, settings);
  const renewing = settings.enabled
    ? runRenewals(round, settings, { signal, onError: trouble('renewals failed') })
    : undefined;
  const look = createExpiryWatch({ expiries, logger, now });
  const watching = runExpiryWatch(look, { signal, onError: trouble('expiries not looked at') });
  await Promise.all([renewing, watching]);
}
