import type { PublishedFile, ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { Gun, ServerRole } from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import { Unavailable } from '../errors.ts';
import type { CountRenewal } from './expiry-metrics.ts';
import { isSignerAway, type Renew } from './renew.ts';

interface Dependencies {
  readonly renew: Renew;
  readonly readModel: Pick<ReadModel, 'current' | 'currentOfServer'>;
  readonly count: CountRenewal;
  readonly logger: Logger;
  readonly now: () => Date;
}

/** `until`: when it, or what has to be renewed with it, expires; absent where that is over. */
export interface CurrentFile extends PublishedFile {
  readonly until?: Date;
}

/** After a renewal that did nothing, how long no download tries again, in milliseconds. */
const REST = 5_000;

/** How long a signer that was away counts as away where nobody asks it, in milliseconds. */
const OUTAGE = 60_000;

/** Repositories that one process remembers to have tried in vain. */
const REMEMBERED = 10_000;

/**
 * Reads the current timestamp or snapshot. Where one of them has expired, for the renewal ahead of
 * time did not come to it, its next version is signed first (WIRE §8.4): once for all who ask.
 *
 * Where that is impossible the last good file is served, and the client sees that it has expired,
 * which is the truth. One download waits for a signer that is away, no more: until it answers again
 * the others are served at once, and it is asked every few seconds behind their backs.
 */
export function createCurrentServerRole(
  dependencies: Dependencies,
): (gun: Gun, role: ServerRole) => Promise<CurrentFile | undefined> {
  const { readModel, now } = dependencies;
  const lastResort = createLastResort(dependencies);

  return async (gun, role) => {
    const file = await readModel.currentOfServer(gun, role);
    if (file === undefined) return undefined;
    const { expiresAt, ...current } = file;
    if (now() <= expiresAt) return { ...current, until: expiresAt };
    await lastResort(gun);
    return readModel.current(gun, role);
  };
}

/** Renews, or does not; resolves when it makes no sense to wait any longer. Never rejects. */
function createLastResort({ renew, count, logger, now }: Dependencies) {
  const underWay = new Map<Gun, Promise<void>>();
  /** When the renewal of a repository last did nothing. */
  const vain = new LRUCache<Gun, number>({ max: REMEMBERED });
  /** When the signer was last asked and known to be away, which is so for every repository. */
  let away = -Infinity;

  const attempt = async (gun: Gun): Promise<void> => {
    try {
      const outcome = await renew(gun);
      if (outcome === 'impossible') {
        vain.set(gun, now().getTime());
        return;
      }
      vain.delete(gun);
      if (outcome === 'unneeded') return;
      away = -Infinity;
      count('read', 'renewed');
    } catch (err) {
      vain.set(gun, now().getTime());
      if (isSignerAway(err) || err instanceof Unavailable) away = now().getTime();
      count('read', 'failed');
      logger.error({ err, gun }, 'expired metadata is served, for it could not be renewed');
    }
  };

  const isWithin = (time: number, since = -Infinity) => {
    const elapsed = now().getTime() - since;
    return elapsed >= 0 && elapsed < time;
  };

  const begin = (gun: Gun): Promise<void> => {
    if (isWithin(OUTAGE, away)) away = now().getTime(); // the others leave it to this one
    const attempting = attempt(gun).finally(() => underWay.delete(gun));
    underWay.set(gun, attempting);
    return attempting;
  };

  return async (gun: Gun): Promise<void> => {
    const isHopeful = !isWithin(OUTAGE, away) && !vain.has(gun);
    const isResting = isWithin(REST, away) || isWithin(REST, vain.get(gun));
    const attempting = underWay.get(gun) ?? (isResting ? undefined : begin(gun));
    if (isHopeful) await attempting;
  };
}
