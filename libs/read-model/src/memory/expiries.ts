import type { RecordedEvent } from '@scrivener/events';
import type { Gun, ServerRole } from '@scrivener/tuf';
import {
  addDays,
  expiryChanges,
  spreadOf,
  type Alarm,
  type ClaimQuery,
  type Expiries,
  type Expiry,
  type ExpiryPlace,
  type Maker,
} from '../expiries.ts';
import { gunHex } from '../gun-digest.ts';

/** What was projected, by GUN, role and subject. */
export interface ProjectedExpiries {
  apply(batch: readonly RecordedEvent[]): void;
  all(): Iterable<Expiry>;
  /** When timestamp or snapshot expires first; long ago where neither is there. */
  ofServerRoles(gun: Gun): Date;
}

export function projectedExpiries(): ProjectedExpiries {
  const byGun = new Map<Gun, Map<string, Expiry>>();
  return {
    apply(batch) {
      const { removed, current } = expiryChanges(batch);
      for (const gun of removed) byGun.delete(gun);
      for (const { publishedAt, expiresAt, ...row } of current) {
        const rows = byGun.get(row.gun) ?? new Map<string, Expiry>();
        const key = `${row.role} ${row.subject}`;
        if ((rows.get(key)?.version ?? row.version) > row.version) continue;
        rows.set(key, {
          ...row,
          publishedAt: new Date(publishedAt),
          expiresAt: new Date(expiresAt),
        });
        byGun.set(row.gun, rows);
      }
    },
    *all() {
      for (const rows of byGun.values()) yield* rows.values();
    },
    ofServerRoles(gun) {
      const ends = ['timestamp metadata', 'snapshot metadata']
        .map((key) => byGun.get(gun)?.get(key)?.expiresAt.getTime())
        .filter((end) => end !== undefined);
      return new Date(ends.length === 0 ? 0 : Math.min(...ends));
    },
  };
}

/** `projected` gives what is there now: a replay puts another one in its place. */
export function memoryExpiries(projected: () => ProjectedExpiries): Expiries {
  const claims = new Map<Gun, Date>();
  let watchedUntil = new Date(0);
  const raised = new Map<string, Pick<Alarm, 'days' | 'expiresAt'>>();

  const where = (condition: (expiry: Expiry) => boolean): Expiry[] => {
    const found: Expiry[] = [];
    for (const expiry of projected().all()) if (condition(expiry)) found.push(expiry);
    return found.sort(inOrder);
  };

  return {
    async soonest({ madeBy, before, limit, after }) {
      const found = where((expiry) => expiry.madeBy === madeBy && expiry.expiresAt <= before);
      const rest = after === undefined ? found : found.filter((each) => inOrder(each, after) > 0);
      return rest.slice(0, limit);
    },

    async summary(now, days) {
      const all = {
        client: where(({ madeBy }) => madeBy === 'client'),
        server: where(({ madeBy }) => madeBy === 'server'),
      };
      const next = (madeBy: Maker) => all[madeBy].find(({ expiresAt }) => expiresAt >= now);
      const expired = (madeBy: Maker) => all[madeBy].filter(({ expiresAt }) => expiresAt < now);
      const within = (count: number) =>
        all.client.filter(({ expiresAt }) => expiresAt >= now && expiresAt <= addDays(now, count));
      return {
        next: { client: next('client')?.expiresAt, server: next('server')?.expiresAt },
        expired: { client: expired('client').length, server: expired('server').length },
        within: new Map(days.map((count) => [count, within(count).length])),
      };
    },

    async claim(query) {
      const due = new Map<Gun, Map<ServerRole, bigint>>();
      const isFree = (gun: Gun) => (claims.get(gun) ?? query.now) <= query.now;
      for (const { gun, role, version } of where((each) => isDue(each, query))) {
        if (role !== 'snapshot' && role !== 'timestamp') continue;
        if (!isFree(gun) || (due.size === query.limit && !due.has(gun))) continue;
        due.set(gun, (due.get(gun) ?? new Map<ServerRole, bigint>()).set(role, version));
      }
      for (const gun of due.keys()) claims.set(gun, query.until);
      return [...due].map(([gun, roles]) => ({ gun, roles }));
    },

    async release(guns, until) {
      for (const gun of guns) {
        if (until === undefined) claims.delete(gun);
        else claims.set(gun, until);
      }
    },

    async beginWatch(now, until) {
      if (watchedUntil > now) return false;
      watchedUntil = until;
      return true;
    },

    async endWatch(now) {
      watchedUntil = now;
    },

    async alarms(now, days, limit) {
      const found: Alarm[] = [];
      for (const expiry of where(({ madeBy }) => madeBy === 'client')) {
        const reached = days.filter((count) => expiry.expiresAt <= addDays(now, count));
        const alarm = { ...expiry, days: Math.min(...reached) };
        const last = raised.get(keyOf(expiry));
        const isKnown = last?.expiresAt.getTime() === expiry.expiresAt.getTime();
        if (reached.length === 0 || (isKnown && last.days <= alarm.days)) continue;
        found.push(alarm);
      }
      return found.slice(0, limit);
    },

    async raised(alarms) {
      for (const alarm of alarms) raised.set(keyOf(alarm), alarm);
    },

    async forgetAlarms() {
      const there = new Set([...projected().all()].map(keyOf));
      for (const key of raised.keys()) if (!there.has(key)) raised.delete(key);
    },
  };
}

function isDue({ gun, madeBy, publishedAt, expiresAt }: Expiry, query: ClaimQuery): boolean {
  if (madeBy !== 'server') return false;
  const left = expiresAt.getTime() - query.now.getTime();
  const life = expiresAt.getTime() - publishedAt.getTime();
  // The digest is for those only that it can matter to.
  if (left > life * (query.lifeLeft + query.jitter)) return false;
  return left <= life * (query.lifeLeft + query.jitter * spreadOf(gun));
}

const keyOf = ({ gun, role, subject }: ExpiryPlace) => `${gun} ${role} ${subject}`;

function inOrder(a: ExpiryPlace, b: ExpiryPlace): number {
  const apart = a.expiresAt.getTime() - b.expiresAt.getTime();
  if (apart !== 0) return apart;
  const keys = [a, b].map(({ gun, role, subject }) => `${gunHex(gun)} ${role} ${subject}`);
  const [first = '', second = ''] = keys;
  return first < second ? -1 : first > second ? 1 : 0;
}
