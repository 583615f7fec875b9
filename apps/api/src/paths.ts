import { isUtf8 } from 'node:buffer';
import { posix } from 'node:path';
import { parseGun, type Gun, type ServerRole } from '@scrivener/tuf';
import { parseQuery } from './query.ts';

/** What a request asks for: the operations of WIRE §1.2 with their parameters, not yet judged. */
export type Route =
  | { readonly operation: 'Version' }
  | { readonly operation: 'UpdateTUF'; readonly gun: Gun }
  | {
      readonly operation: 'GetRoleByHash';
      readonly gun: Gun;
      readonly role: string;
      readonly checksum: string;
    }
  | {
      readonly operation: 'GetRoleByVersion';
      readonly gun: Gun;
      readonly role: string;
      readonly version: string;
    }
  | { readonly operation: 'GetRole'; readonly gun: Gun; readonly role: string }
  | { readonly operation: 'GetKey'; readonly gun: Gun; readonly role: ServerRole }
  | { readonly operation: 'RotateKey'; readonly gun: Gun; readonly role: ServerRole }
  | { readonly operation: 'DeleteTUF'; readonly gun: Gun }
  /** Of everything where there is no GUN. */
  | { readonly operation: 'Changefeed'; readonly gun?: Gun }
  | { readonly operation: 'Health' }
  /** Ours: what expires soon. */
  | { readonly operation: 'Expiring' }
  /** Ours: what happened, of one repository or of all that the caller may pull. */
  | { readonly operation: 'Events'; readonly gun?: Gun }
  /** Ours: the bytes that were current then. */
  | {
      readonly operation: 'HistoryAt';
      readonly gun: Gun;
      readonly moment: string;
      readonly role: string;
    }
  /** Ours: what changed between two moments. */
  | { readonly operation: 'HistoryDiff'; readonly gun: Gun }
  /** Ours: a picture of all that happened. */
  | { readonly operation: 'HistoryPicture'; readonly gun: Gun }
  /** Ours: the description of these routes. */
  | { readonly operation: 'OpenApi' }
  /** Ours: does this process answer at all? */
  | { readonly operation: 'Live' }
  /** Ours: should it be sent requests? */
  | { readonly operation: 'Ready' }
  | { readonly operation: 'Metrics' }
  /** Nothing else fits: 404 in JSON. */
  | { readonly operation: 'NotFound' };

export type Operation = Route['operation'];

/** Where a request target leads. `query` is raw, without the question mark. */
export type Destination =
  | { readonly kind: 'route'; readonly route: Route; readonly query: string }
  /** The path was not clean; `location` is where it should have gone. */
  | { readonly kind: 'moved'; readonly location: string }
  /** Not a request target at all. */
  | { readonly kind: 'malformed' }
  /** No operation takes this method here: 405. */
  | { readonly kind: 'wrong-method' }
  /** A path with a line break that no operation takes: 404 in plain text. */
  | { readonly kind: 'no-page' };

/**
 * Follows a raw request target (WIRE §1.2): decode, clean, move or match. `target` as Node gives it:
 * one character for each byte.
 */
export function resolveTarget(method: string, target: string): Destination {
  const [rawPath, query] = splitQuery(withoutAuthority(target));
  const path = decodePath(rawPath);
  if (path === undefined) return { kind: 'malformed' };

  const clean = posix.normalize(`/${path}`);
  if (clean !== path) return { kind: 'moved', location: encodePath(clean) + (query ?? '') };
  return match(method, clean, query?.slice(1) ?? '');
}

/** `GET http://other/v2/ HTTP/1.1`: only the path matters. */
function withoutAuthority(target: string): string {
  return target.replace(/^[a-z][a-z0-9+.-]*:(?:\/\/[^/?]*)?(?=[/?]|$)/i, '');
}

/** The query keeps its question mark; a target without one has none. */
function splitQuery(target: string): [path: string, query: string | undefined] {
  const at = target.indexOf('?');
  return at === -1 ? [target, undefined] : [target.slice(0, at), target.slice(at)];
}

/** The path as text. Bytes that are no UTF-8 become lone surrogates, which no store takes as a GUN. */
function decodePath(raw: string): string | undefined {
  if (/%(?![0-9a-f]{2})/i.test(raw)) return undefined;
  const decoded = raw.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const bytes = Buffer.from(decoded, 'latin1');
  const text = bytes.toString('utf8');
  return isUtf8(bytes) ? text : text.replaceAll('\uFFFD', '\uDFFF');
}

/** Escapes every byte but those that a path may hold as they are. */
function encodePath(path: string): string {
  return Buffer.from(path)
    .toString('latin1')
    .replace(/[^\w.~$&+,/:;=@-]/g, (byte) => {
      const hex = byte.charCodeAt(0).toString(16).toUpperCase();
      return `%${hex.padStart(2, '0')}`;
    });
}

/** One line of the table below: `read` gives the parameters where a path is one of its own. */
interface Pattern {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Whether a HEAD is a variant of this GET. For the old server it never was (WIRE §1.2). */
  readonly head?: true;
  readonly read: (path: string, query: string) => Route | undefined;
}

const PREFIX = '/v2/';
const TUF = '/_trust/tuf/';
const FEED = '/_trust/changefeed';
const GUNS = '/_notary_server/v1/guns/';

// Not `\s`: the old server's white space was ASCII only.
const ROLE = String.raw`root|targets(?:/[^/\t\n\f\r ]+)*|snapshot|timestamp`;
const CHECKSUM = '[a-fA-F0-9]{64}|[a-fA-F0-9]{96}|[a-fA-F0-9]{128}';
const BY_HASH = new RegExp(`^(${ROLE})\\.(${CHECKSUM})\\.json$`);
const BY_VERSION = new RegExp(`^([0-9]+)\\.(${ROLE})\\.json$`);
const CURRENT = new RegExp(`^(${ROLE})\\.json$`);
const DELEGATION = /^targets\//;
const DELEGATION_BY_VERSION = /^[0-9]+\.targets\//;

/** The routes of WIRE §1.2 in their order: the first that fits both path and method is taken. */
const patterns: readonly Pattern[] = [
  { method: 'GET', read: (path) => (path === PREFIX ? { operation: 'Version' } : undefined) },
  { method: 'POST', read: below(TUF, (gun) => ({ operation: 'UpdateTUF', gun })) },
  {
    method: 'GET',
    head: true,
    read: file(BY_HASH, DELEGATION, (gun, role, checksum) => {
      return { operation: 'GetRoleByHash', gun, role, checksum };
    }),
  },
  {
    method: 'GET',
    head: true,
    read: file(BY_VERSION, DELEGATION_BY_VERSION, (gun, version, role) => {
      return { operation: 'GetRoleByVersion', gun, role, version };
    }),
  },
  {
    method: 'GET',
    head: true,
    read: file(CURRENT, DELEGATION, (gun, role) => ({ operation: 'GetRole', gun, role })),
  },
  { method: 'GET', read: key((gun, role) => ({ operation: 'GetKey', gun, role })) },
  { method: 'POST', read: key((gun, role) => ({ operation: 'RotateKey', gun, role })) },
  { method: 'DELETE', read: below(TUF, (gun) => ({ operation: 'DeleteTUF', gun })) },
  { method: 'GET', read: below(FEED, (gun) => ({ operation: 'Changefeed', gun })) },
  {
    method: 'GET',
    read: (path) => (path === '/v2/_trust/changefeed' ? { operation: 'Changefeed' } : undefined),
  },
  { method: 'GET', read: exactly('/_notary_server/health', { operation: 'Health' }) },
  { method: 'GET', read: exactly('/metrics', { operation: 'Metrics' }) },
  // Ours, which stand where the old server has nothing: before its route 13, which takes everything.
  { method: 'GET', read: exactly('/_notary_server/v1/expiring', { operation: 'Expiring' }) },
  { method: 'GET', read: events },
  { method: 'GET', head: true, read: roleAt },
  { method: 'GET', read: past('/diff', (gun) => ({ operation: 'HistoryDiff', gun })) },
  {
    method: 'GET',
    head: true,
    read: past('/history.svg', (gun) => ({ operation: 'HistoryPicture', gun })),
  },
  { method: 'GET', read: exactly('/_notary_server/v1/openapi.json', { operation: 'OpenApi' }) },
  { method: 'GET', read: exactly('/_notary_server/live', { operation: 'Live' }) },
  { method: 'GET', read: exactly('/_notary_server/ready', { operation: 'Ready' }) },
];

/** What the last route takes. */
const KNOWN_METHODS = new Set(['GET', 'POST', 'PUT', 'HEAD', 'DELETE']);

function match(method: string, path: string, query: string): Destination {
  let pathFits = false;
  for (const pattern of patterns) {
    const route = pattern.read(path, query);
    if (route === undefined) continue;
    if (pattern.method === method || (pattern.head && method === 'HEAD')) {
      return { kind: 'route', route, query };
    }
    pathFits = true;
  }
  if (path.includes('\n')) return { kind: pathFits ? 'wrong-method' : 'no-page' };
  return KNOWN_METHODS.has(method)
    ? { kind: 'route', route: { operation: 'NotFound' }, query }
    : { kind: 'wrong-method' };
}

function exactly(wanted: string, route: Route): Pattern['read'] {
  return (path) => (path === wanted ? route : undefined);
}

/** A path that is a GUN between `/v2/` and `ending`. */
function below(ending: string, route: (gun: Gun) => Route): Pattern['read'] {
  return between(PREFIX, ending, route);
}

/** One that is a GUN between `GUNS` and `ending`. */
function past(ending: string, route: (gun: Gun) => Route): Pattern['read'] {
  return between(GUNS, ending, route);
}

function between(prefix: string, ending: string, route: (gun: Gun) => Route): Pattern['read'] {
  return (path) => {
    if (!path.startsWith(prefix) || !path.endsWith(ending)) return undefined;
    const gun = parseGun(path.slice(prefix.length, -ending.length));
    return gun && route(gun);
  };
}

/**
 * A path that is a GUN and then a file. The GUN is greedy: the last `/_trust/tuf/` behind which a
 * file stands ends it. What is wrong with a delegation at its end, or white space in it, is just as
 * wrong when more stands before it; so the search ends there, and its time stays linear.
 */
function file(
  pattern: RegExp,
  delegation: RegExp,
  route: (gun: Gun, first: string, second: string) => Route,
): Pattern['read'] {
  return (path) => {
    if (!path.startsWith(PREFIX)) return undefined;
    const star = path.indexOf('*');
    for (let at = path.lastIndexOf(TUF); at >= PREFIX.length; at = path.lastIndexOf(TUF, at - 1)) {
      if (star !== -1 && star < at) continue;
      const name = path.slice(at + TUF.length);
      const found = pattern.exec(name);
      const gun = found && parseGun(path.slice(PREFIX.length, at));
      if (gun) return route(gun, found[1] ?? '', found[2] ?? '');
      if (delegation.test(name)) return undefined;
    }
    return undefined;
  };
}

function key(route: (gun: Gun, role: ServerRole) => Route): Pattern['read'] {
  const snapshot = below(`${TUF}snapshot.key`, (gun) => route(gun, 'snapshot'));
  const timestamp = below(`${TUF}timestamp.key`, (gun) => route(gun, 'timestamp'));
  return (path, query) => snapshot(path, query) ?? timestamp(path, query);
}

/** The path of a repository's history, escaped; `rest` is behind the GUN. */
export function historyPath(gun: Gun, rest: string): string {
  return encodePath(`${GUNS}${gun}/${rest}`);
}

/** Which repository is meant decides who may ask, so this one parameter is read here. */
function events(path: string, query: string): Route | undefined {
  if (path !== '/_notary_server/v1/events') return undefined;
  const gun = parseGun(parseQuery(query).get('gun') ?? '');
  return { operation: 'Events', ...(gun && { gun }) };
}

const AT = '/at/';
const ROLE_AT = new RegExp(`^([^/]+)/(${ROLE})\\.json$`);

const DELEGATION_AT = /^[^/]+\/targets\//;

/** The GUN is greedy here, too: the last `/at/` behind which a moment and a file stand ends it. */
function roleAt(path: string): Route | undefined {
  if (!path.startsWith(GUNS) || path.includes('*')) return undefined;
  for (let at = path.lastIndexOf(AT); at > GUNS.length; at = path.lastIndexOf(AT, at - 1)) {
    const rest = path.slice(at + AT.length);
    const [found, moment = '', role = ''] = ROLE_AT.exec(rest) ?? [];
    const gun = found === undefined ? undefined : parseGun(path.slice(GUNS.length, at));
    if (gun) return { operation: 'HistoryAt', gun, moment, role };
    if (DELEGATION_AT.test(rest)) return undefined; // as `file` does, for the same reason
  }
  return undefined;
}
