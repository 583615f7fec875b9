import type { MetafileRef, RecordedEvent } from '@scrivener/events';
import type { Gun, RoleName, ServerRole } from '@scrivener/tuf';
import { gunDigest } from './gun-digest.ts';

/** Who can make the next version: the server signs it by itself, or a client has to publish it. */
export type Maker = MetafileRef['madeBy'];

/** When something that is current expires: a file, or the certificates that a root is signed with. */
export interface Expiry {
  readonly gun: Gun;
  readonly role: RoleName;
  readonly subject: 'metadata' | 'certificates';
  readonly version: bigint;
  readonly madeBy: Maker;
  /** `at` of the event. */
  readonly publishedAt: Date;
  readonly expiresAt: Date;
}

export interface ExpiriesQuery {
  readonly madeBy: Maker;
  /** Only what expires at that moment or before, and what has expired already. */
  readonly before: Date;
  readonly limit: number;
  /** Only what comes behind this one, which need not be there any more. */
  readonly after?: ExpiryPlace | undefined;
}

/** A place in the order of expiries: by time, then by the digest of the GUN, role and subject. */
export type ExpiryPlace = Pick<Expiry, 'expiresAt' | 'gun' | 'role' | 'subject'>;

/** When the server renews a role by itself, as shares of its life from 0 to 1. */
export interface RenewalPolicy {
  /** It is due when that much is left; */
  readonly lifeLeft: number;
  /** or up to that much more: how much is the GUN's own, so that what was published together is not
   * renewed together. */
  readonly jitter: number;
}

export interface ClaimQuery extends RenewalPolicy {
  readonly now: Date;
  /** Repositories. */
  readonly limit: number;
  /** Until when nobody else gets them. */
  readonly until: Date;
}

/** A repository and those of its roles that are due, with the versions that are to be followed. */
export interface Due {
  readonly gun: Gun;
  readonly roles: ReadonlyMap<ServerRole, bigint>;
}

/** Something that a client has to renew, and the alarm that it is time to raise. */
export interface Alarm extends Expiry {
  /** The smallest number of days in which it will have expired, out of those asked for. */
  readonly days: number;
}

/** How things stand at a moment. */
export interface ExpirySummary {
  /** What expires next of what has not expired; undefined where there is nothing. */
  readonly next: Readonly<Record<Maker, Date | undefined>>;
  readonly expired: Readonly<Record<Maker, number>>;
  /** What clients have to renew within so many days, and has not expired: by these days. */
  readonly within: ReadonlyMap<number, number>;
}

/** When what is current expires. Projected from the log; claims and alarms are kept beside it. */
export interface Expiries {
  /** Soonest first. */
  soonest(query: ExpiriesQuery): Promise<readonly Expiry[]>;

  summary(now: Date, days: readonly number[]): Promise<ExpirySummary>;

  /**
   * Repositories with roles that are due, soonest expiry first. Nobody else gets one of them before
   * `until`, in whatever process; where whoever claimed it is gone, somebody gets it then.
   */
  claim(query: ClaimQuery): Promise<readonly Due[]>;

  /** Ends claims: at once, or leaves those repositories alone until `until`. */
  release(guns: readonly Gun[], until?: Date): Promise<void>;

  /**
   * Whether the caller may look for alarms: until `until` nobody else may, in whatever process, unless
   * `endWatch` says that it is done.
   */
  beginWatch(now: Date, until: Date): Promise<boolean>;

  endWatch(now: Date): Promise<void>;

  /**
   * What clients have to renew within one of these numbers of days, but for that of which an alarm
   * was raised for so many days or fewer. Soonest first.
   */
  alarms(now: Date, days: readonly number[], limit: number): Promise<readonly Alarm[]>;

  /** Remembers that these were raised. Whoever crashes before it raises them twice. */
  raised(alarms: readonly Alarm[]): Promise<void>;

  /**
   * Forgets the alarms about what is not there any more. Does nothing while the projection is far
   * behind, as it is when it begins anew: what is missing then is still to come.
   */
  forgetAlarms(): Promise<void>;
}

/** The row of an expiry. */
export interface ExpiryRow extends Omit<Expiry, 'publishedAt' | 'expiresAt'> {
  readonly publishedAt: string;
  readonly expiresAt: string;
}

/** First `removed`: every row of these repositories; then `current`, which has no row twice. */
export interface ExpiryChanges {
  readonly removed: readonly Gun[];
  readonly current: readonly ExpiryRow[];
}

/** What a stretch of the log does to `expiries`. Pure and total, and of `retold` events, as `metafileChanges` is. */
export function expiryChanges(events: readonly RecordedEvent[]): ExpiryChanges {
  const removed = new Set<Gun>();
  const current = new Map<Gun, Map<string, ExpiryRow>>();
  for (const { event } of events) {
    const { gun } = event;
    if (event.type === 'RepositoryDeleted') {
      removed.add(gun);
      current.delete(gun);
    }
    const rows = current.get(gun) ?? new Map<string, ExpiryRow>();
    for (const row of expiryRows(event)) {
      const key = `${row.role} ${row.subject}`;
      const known = rows.get(key);
      if (known === undefined || known.version <= row.version) rows.set(key, row);
    }
    current.set(gun, rows);
  }
  return {
    removed: [...removed],
    current: [...current.values()].flatMap((rows) => [...rows.values()]),
  };
}

function expiryRows(event: RecordedEvent['event']): ExpiryRow[] {
  switch (event.type) {
    case 'UpdatePublished':
    case 'RoleRenewed': {
      const { gun, at: publishedAt } = event;
      return event.data.metafiles.flatMap(
        ({ role, version, madeBy, expires, certificatesExpire }): ExpiryRow[] => {
          const row = { gun, role, version, madeBy, publishedAt };
          const metadata = { ...row, subject: 'metadata', expiresAt: expires } as const;
          if (certificatesExpire === undefined) return [metadata];
          return [metadata, { ...row, subject: 'certificates', expiresAt: certificatesExpire }];
        },
      );
    }
    case 'KeyCreated':
    case 'RepositoryDeleted':
    case 'RepositoryRestored':
      break;
  }
  return [];
}

/** A number from 0 up to 1 that a GUN has for ever. */
export function spreadOf(gun: Gun): number {
  return gunDigest(gun).readUInt16BE() / 2 ** 16;
}

const DAY = 86_400_000;

export function addDays(date: Date, days: number): Date {
  return new Date(date.getTime() + days * DAY);
}
