import { parseGun, type Gun, type KeyId, type RoleName, type Sha256 } from '@scrivener/tuf';
import { EventLogError } from './errors.ts';
import type { Cause, MetafileRef, RepositoryEvent } from './repository-events.ts';

/** What JSON can say without losing anything: versions are decimal strings here. */
export type Json = string | number | readonly Json[] | { readonly [name: string]: Json };

/**
 * An event as it lies in a database. `data` and `cause` are canonical JSON: members sorted by
 * name, no white space, strings as `JSON.stringify` writes them, versions as decimal strings.
 */
export interface StoredEvent {
  readonly type: string;
  readonly gun: string;
  readonly at: string;
  readonly data: string;
  readonly cause: string;
}

export function serialise(event: RepositoryEvent): StoredEvent {
  return {
    type: event.type,
    gun: event.gun,
    at: event.at,
    data: canonicalJson(dataJson(event)),
    cause: canonicalJson({ ...event.cause }),
  };
}

/** What a database gives back: `data` and `cause` are parsed JSON. */
export interface FetchedEvent extends Omit<StoredEvent, 'data' | 'cause'> {
  readonly data: unknown;
  readonly cause: unknown;
}

/** Reads what `serialise` wrote, and nothing else. Throws `EventLogError` (`UNREADABLE_EVENT`). */
export function deserialise(stored: FetchedEvent): RepositoryEvent {
  try {
    return parseEvent(stored);
  } catch (error) {
    throw new EventLogError('UNREADABLE_EVENT', `not an event: ${stored.type} at ${stored.at}`, {
      cause: error,
    });
  }
}

/** Members sorted by name, without white space. All names are ours and ASCII. */
export function canonicalJson(value: Json): string {
  if (typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

export function dataJson(event: RepositoryEvent): Json {
  switch (event.type) {
    case 'KeyCreated': {
      const { role, keyid, key } = event.data;
      return { role, keyid, key: { keytype: key.keytype, public: key.public } };
    }
    case 'UpdatePublished':
    case 'RoleRenewed':
      return { metafiles: event.data.metafiles.map(refJson) };
    case 'RepositoryRestored': {
      const { metafiles, since, until } = event.data;
      return { metafiles: metafiles.map(refJson), since, until };
    }
    case 'RepositoryDeleted':
      break;
  }
  return {};
}

const refJson = ({ version, ...ref }: MetafileRef): Json => ({
  role: ref.role,
  version: version.toString(),
  sha256: ref.sha256,
  length: ref.length,
  expires: ref.expires,
  ...(ref.certificatesExpire !== undefined && { certificatesExpire: ref.certificatesExpire }),
  madeBy: ref.madeBy,
});

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}

const HEX_32 = /^[0-9a-f]{64}$/;
const INTEGER = /^(?:0|-?[1-9]\d*)$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ROLE = /^(?=.{1,255}$)(?:root|snapshot|timestamp|targets(?:\/[-a-z0-9_]+)*)$/;

function parseEvent(stored: FetchedEvent): RepositoryEvent {
  const common = {
    gun: gunFrom(stored.gun),
    at: matching(stored.at, INSTANT),
    cause: causeFrom(stored.cause),
  };
  const { data } = stored;
  switch (stored.type) {
    case 'KeyCreated':
      return { type: stored.type, ...common, data: keyFrom(data) };
    case 'UpdatePublished':
    case 'RoleRenewed': {
      const { metafiles } = members(data, ['metafiles']);
      return { type: stored.type, ...common, data: { metafiles: refsFrom(metafiles) } };
    }
    case 'RepositoryRestored':
      return { type: stored.type, ...common, data: restoredFrom(data) };
    case 'RepositoryDeleted':
      members(data, []);
      return { type: stored.type, ...common, data: {} };
    default:
      throw new TypeError(`unknown type ${stored.type}`);
  }
}

function keyFrom(data: unknown) {
  const { role, keyid, key } = members(data, ['role', 'keyid', 'key']);
  if (role !== 'snapshot' && role !== 'timestamp') throw new TypeError('no role with server keys');
  const { keytype, public: publicHalf } = members(key, ['keytype', 'public']);
  return {
    role,
    keyid: matching(keyid, HEX_32) as KeyId,
    key: { keytype: text(keytype), public: text(publicHalf) },
  } as const;
}

const REF = ['role', 'version', 'sha256', 'length', 'expires', 'madeBy'] as const;

function refsFrom(value: unknown): MetafileRef[] {
  if (!Array.isArray(value)) throw new TypeError('metafiles is no list');
  return value.map(refFrom);
}

function restoredFrom(data: unknown) {
  const { metafiles, since, until } = members(data, ['metafiles', 'since', 'until']);
  if (!isLength(since) || !isLength(until) || since < 1 || until <= since) {
    throw new TypeError('no stretch of a stream');
  }
  return { metafiles: refsFrom(metafiles), since, until };
}

function refFrom(value: unknown): MetafileRef {
  const ref = members(value, REF, ['certificatesExpire']);
  const { role, version, sha256, length, expires, certificatesExpire, madeBy } = ref;
  if (!isLength(length)) throw new TypeError('length is no number of bytes');
  if (madeBy !== 'client' && madeBy !== 'server') throw new TypeError('made by nobody we know');
  return {
    role: matching(role, ROLE) as RoleName,
    version: int64(matching(version, INTEGER)),
    sha256: matching(sha256, HEX_32) as Sha256,
    length,
    expires: matching(expires, INSTANT),
    ...(certificatesExpire !== undefined && {
      certificatesExpire: matching(certificatesExpire, INSTANT),
    }),
    madeBy,
  };
}

const CAUSE = [
  'requestId',
  'subject',
  'certificate',
  'certificateSha256',
  'remoteAddress',
  'traceId',
  'spanId',
  'operator',
  'reason',
] as const satisfies readonly (keyof Cause)[];

function causeFrom(value: unknown): Cause {
  const cause = members(value, [], CAUSE);
  for (const member of Object.values(cause)) text(member);
  return cause;
}

function gunFrom(value: string): Gun {
  const gun = parseGun(value);
  if (gun === undefined) throw new TypeError('not a GUN');
  return gun;
}

/** The object's members, if it has all of `required` and none but those and `optional`. */
function members(
  value: unknown,
  required: readonly string[],
  optional: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('not an object');
  }
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw new TypeError(`${missing} is missing`);
  const unknown = Object.keys(value).find(
    (name) => !required.includes(name) && !optional.includes(name),
  );
  if (unknown !== undefined) throw new TypeError(`unknown member ${unknown}`);
  return value as Record<string, unknown>;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
}

function matching(value: unknown, pattern: RegExp): string {
  if (!pattern.test(text(value))) throw new TypeError(`${String(value)} does not fit ${pattern}`);
  return text(value);
}

function int64(digits: string): bigint {
  const value = BigInt(digits);
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${digits} is no int64`);
  return value;
}

function isLength(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
