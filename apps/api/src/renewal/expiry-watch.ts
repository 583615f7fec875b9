import { setTimeout as sleep } from 'node:timers/promises';
import type { Alarm, Expiries, Expiry } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';

/** Days before an expiry on which the log says something about it; 0 when it has expired. */
const ALARM_DAYS = [90, 30, 7, 0];

/** Alarms raised in one go. */
const BATCH = 500;

/** Between two looks, in milliseconds. Alarms are about days. */
const INTERVAL = 3_600_000;

interface Dependencies {
  readonly expiries: Pick<
    Expiries,
    'alarms' | 'raised' | 'beginWatch' | 'endWatch' | 'forgetAlarms'
  >;
  readonly logger: Logger;
  readonly now: () => Date;
}

/** After so long in milliseconds a process that began a look has ended in it. */
const LEASE = 600_000;

/**
 * Says in the log what clients have to renew, 90, 30 and 7 days before it expires and when it has:
 * once for each of these, as the read model remembers, or again where a process ends in between. Of
 * several processes that look at once one does; what it has raised the others need not.
 */
export function createExpiryWatch({ expiries, logger, now }: Dependencies): () => Promise<void> {
  return async () => {
    const since = now();
    if (!(await expiries.beginWatch(since, new Date(since.getTime() + LEASE)))) return;
    for (;;) {
      const alarms = await expiries.alarms(now(), ALARM_DAYS, BATCH);
      for (const alarm of alarms) raise(logger, alarm);
      if (alarms.length > 0) await expiries.raised(alarms);
      if (alarms.length < BATCH) break;
    }
    await expiries.forgetAlarms();
    await expiries.endWatch(now());
  };
}

function raise(logger: Logger, { gun, role, subject, version, expiresAt, days }: Alarm): void {
  const what = subject === 'metadata' ? role : `${role} (its certificates)`;
  const when = days === 0 ? 'has expired' : `expires within ${days} days`;
  const fields = {
    gun,
    role,
    subject,
    version: version.toString(),
    expires: expiresAt.toISOString(),
    days,
    command: renewalCommand({ gun, role, subject }),
  };
  logger[days === 0 ? 'error' : 'warn'](fields, `${what} of ${gun} ${when}`);
}

/**
 * What the one who holds the key types to make the next version (the Notary client, 0.6 and 0.7):
 * `publish` signs a snapshot each time, and a root that expires within six months.
 */
export function renewalCommand({
  gun,
  role,
  subject,
}: Pick<Expiry, 'gun' | 'role' | 'subject'>): string {
  if (subject === 'certificates') return `notary key rotate ${quoted(gun)} root`;
  if (role === 'root' || role === 'snapshot') return `notary publish ${quoted(gun)}`;
  if (role === 'timestamp') return `notary key rotate ${quoted(gun)} timestamp -r`;
  return `notary witness -p ${quoted(gun)} ${role}`;
}

/** For a shell, and for a terminal: a GUN may hold anything. */
function quoted(gun: string): string {
  if (/^[\w./:@-]+$/.test(gun)) return gun;
  return `'${gun.replaceAll("'", String.raw`'\''`)}'`;
}

/** Looks every hour for as long as the process lives. Resolves when `signal` is aborted. */
export async function runExpiryWatch(
  look: () => Promise<void>,
  { signal, onError }: { readonly signal: AbortSignal; readonly onError: (error: unknown) => void },
): Promise<void> {
  while (!signal.aborted) {
    await look().catch(onError);
    await sleep(INTERVAL, undefined, { signal }).catch(() => {}); // rejects when aborted
  }
}
