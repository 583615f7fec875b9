import { parse } from 'pg-connection-string';
import { ConfigError } from './config-error.ts';
import { openReason } from './tls-files.ts';

/** The end of every refusal of a backend: what there is. */
export const USE_INSTEAD = ', use "postgres", or "memory" to try things out';

/**
 * The URL of a database of PostgreSQL, from one or from the other form that libpq has for it
 * (`host=db user=server …`). The files that it names for TLS are looked at now, because the driver
 * would come upon them only when it connects. TLS that was asked for verifies the server and its name.
 * Throws `ConfigError`.
 */
export function parseDatabaseUrl(given: string): string {
  if (given === '') {
    throw new ConfigError('must provide a non-empty database source for postgres');
  }
  const written = /^postgres(?:ql)?:\/\//.test(given) ? given : urlOfPairs(given);
  const url = written.replace(HALF_VERIFIED, '$1verify-full');
  try {
    parse(url);
  } catch (error) {
    const path = error instanceof Error && 'path' in error ? String(error.path) : '';
    throw cannotStart(withoutUrl(openReason(path, error), url), error);
  }
  return url;
}

/**
 * The driver takes these for `verify-full`, and says at length that it will not do so for ever; other
 * versions might verify less.
 */
const HALF_VERIFIED = /([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/;

/** What the pairs are called that have a place of their own in a URL. */
const PLACED = new Set(['host', 'port', 'user', 'password', 'dbname']);

function urlOfPairs(given: string): string {
  const pairs = new Map<string, string>();
  const rest = given.replace(/\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s']+))/g, (...match) => {
    const [, name = '', quoted, plain] = match as (string | undefined)[];
    pairs.set(name, (quoted ?? plain ?? '').replace(/\\(.)/g, '$1'));
    return '';
  });
  if (rest.trim() !== '' || pairs.size === 0) {
    throw cannotStart('storage.db_url is neither a URL postgres://… nor a list of name=value');
  }
  const part = (name: string) => encodeURIComponent(pairs.get(name) ?? '');
  const login = pairs.has('password') ? `${part('user')}:${part('password')}` : part('user');
  const host = pairs.has('host') ? part('host') : 'localhost';
  const others = [...pairs].filter(([name]) => !PLACED.has(name));
  const query = others.length === 0 ? '' : `?${new URLSearchParams(others).toString()}`;
  const port = pairs.has('port') ? `:${part('port')}` : '';
  return `postgres://${login}${login === '' ? '' : '@'}${host}${port}/${part('dbname')}${query}`;
}

function cannotStart(reason: string, cause?: unknown): ConfigError {
  return new ConfigError(`error starting postgres driver: ${reason}`, { cause });
}

/** There may be a password in it. */
function withoutUrl(reason: string, url: string): string {
  return reason.includes(url) ? 'storage.db_url is no URL' : reason;
}
