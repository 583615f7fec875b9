import type { PublishedFile, ReadModel } from '@scrivener/read-model';
import { parseRoleName, type Gun, type ServerRole, type Sha256 } from '@scrivener/tuf';
import { answer, TEXT } from '../answer.ts';
import { cachingHeaders, isAtHand, type CachePolicy } from '../caching.ts';
import { NotaryError } from '../errors.ts';
import type { KeptFiles } from '../hot/kept-files.ts';
import type { CurrentFile } from '../renewal/current-server-role.ts';
import type { Exchange, Handler } from './route.ts';

// A HEAD comes here as well as a GET, and gets the same headers.

/** `GET …/{role}.json`: the highest version. Timestamp and snapshot are renewed first (WIRE §8.4). */
export function getRole(
  readModel: Pick<ReadModel, 'current'>,
  currentServerRole: (gun: Gun, role: ServerRole) => Promise<CurrentFile | undefined>,
  kept: KeptFiles,
  caching: CachePolicy,
): Handler<'GetRole'> {
  return async ({ gun, role: text }, exchange) => {
    const role = parseRoleName(text);
    const load = async () => {
      if (role === 'timestamp' || role === 'snapshot') {
        const file = await currentServerRole(gun, role);
        return file && { file, until: file.until ?? LONG_AGO };
      }
      const file = role && (await readModel.current(gun, role));
      return file && { file };
    };
    const path = pathOf(gun, text);
    const file = await kept.read({ gun, path, operation: 'GetRole', kind: 'current' }, load);
    send(exchange, text, file, caching, 'current');
  };
}

/** `GET …/{version}.{role}.json`: bytes that can never change. */
export function getRoleByVersion(
  readModel: Pick<ReadModel, 'byVersion'>,
  kept: KeptFiles,
  caching: CachePolicy,
): Handler<'GetRoleByVersion'> {
  return async ({ gun, role: text, version: digits }, exchange) => {
    const version = parseInt64(digits);
    if (version === undefined) {
      const detail = { Func: 'Atoi', Num: digits, Err: {} };
      throw new NotaryError('METADATA_NOT_FOUND', { detail });
    }
    const role = parseRoleName(text);
    // Version 0 is what a missing `version` counts as, and is never found (WIRE §3).
    const load = async () => {
      const file = version > 0n && role && (await readModel.byVersion(gun, role, version));
      return file ? { file } : undefined;
    };
    const path = pathOf(gun, `${digits}.${text}`);
    const wanted = { gun, path, operation: 'GetRoleByVersion', kind: 'consistent' } as const;
    send(exchange, text, await kept.read(wanted, load), caching, 'consistent');
  };
}

/** The path that leads to a file: what its route was read from. */
function pathOf(gun: Gun, name: string): string {
  return `/v2/${gun}/_trust/tuf/${name}.json`;
}

/** What has expired is renewed when it can be, so it is read anew each time. */
const LONG_AGO = new Date(0);

/** Reads no more digits than an int64 has, for the path may bring a million of them. */
function parseInt64(digits: string): bigint | undefined {
  const significant = digits.replace(/^0+/, '');
  if (significant.length > 19) return undefined;
  const version = BigInt(significant);
  return version === BigInt.asIntN(64, version) ? version : undefined;
}

/** `GET …/{role}.{checksum}.json`: only the lower-case SHA-256 finds anything (WIRE §3). */
export function getRoleByHash(
  readModel: Pick<ReadModel, 'byChecksum'>,
  kept: KeptFiles,
  caching: CachePolicy,
): Handler<'GetRoleByHash'> {
  return async ({ gun, role: text, checksum }, exchange) => {
    const role = parseRoleName(text);
    const sha256 = parseSha256(checksum);
    const load = async () => {
      const file = role && sha256 && (await readModel.byChecksum(gun, role, sha256));
      return file && { file };
    };
    const path = pathOf(gun, `${text}.${checksum}`);
    const wanted = { gun, path, operation: 'GetRoleByHash', kind: 'consistent' } as const;
    send(exchange, text, await kept.read(wanted, load), caching, 'consistent');
  };
}

function parseSha256(text: string): Sha256 | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? (text as Sha256) : undefined;
}

function send(
  { req, res }: Exchange,
  role: string,
  file: PublishedFile | undefined,
  caching: CachePolicy,
  kind: keyof CachePolicy,
): void {
  if (file === undefined) {
    res.locals.log.info(`404 GET ${role} role`);
    throw new NotaryError('METADATA_NOT_FOUND', { detail: {} });
  }
  const headers = cachingHeaders(caching, kind, file);
  if (isAtHand(req.headers['if-none-match'], file)) {
    answer(res, 304, headers);
    return;
  }
  answer(res, 200, { 'Content-Type': TEXT, ...headers }, file.bytes);
}
