import type { PublishedFile, ReadModel } from '@scrivener/read-model';
import { parseRoleName, type Gun, type ServerRole, type Sha256 } from '@scrivener/tuf';
import { answer, TEXT } from '../answer.ts';
import { cachingHeaders, isAtHand, type CachePolicy } from '../caching.ts';
import { NotaryError } from '../errors.ts';
import type { Exchange, Handler } from './route.ts';

// A HEAD comes here as well as a GET, and gets the same headers.

/** `GET …/{role}.json`: the highest version. Timestamp and snapshot are renewed first (WIRE §8.4). */
export function getRole(
  readModel: Pick<ReadModel, 'current'>,
  currentServerRole: (gun: Gun, role: ServerRole) => Promise<PublishedFile | undefined>,
  caching: CachePolicy,
): Handler<'GetRole'> {
  return async ({ gun, role: text }, exchange) => {
    const role = parseRoleName(text);
    const file =
      role === 'timestamp' || role === 'snapshot'
        ? await currentServerRole(gun, role)
        : role && (await readModel.current(gun, role));
    send(exchange, text, file, caching, 'current');
  };
}

/** `GET …/{version}.{role}.json`: bytes that can never change. */
export function getRoleByVersion(
  readModel: Pick<ReadModel, 'byVersion'>,
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
    const file = version > 0n && role && (await readModel.byVersion(gun, role, version));
    send(exchange, text, file || undefined, caching, 'consistent');
  };
}

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
  caching: CachePolicy,
): Handler<'GetRoleByHash'> {
  return async ({ gun, role: text, checksum }, exchange) => {
    const role = parseRoleName(text);
    const sha256 = parseSha256(checksum);
    const file = role && sha256 && (await readModel.byChecksum(gun, role, sha256));
    send(exchange, text, file, caching, 'consistent');
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
