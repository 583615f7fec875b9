import type { Expiries, ExpiriesQuery, Expiry, ExpiryPlace } from '@scrivener/read-model';
import { parseGun, parseRoleName } from '@scrivener/tuf';
import { z } from 'zod';
import { answer, JSON_TEXT } from '../answer.ts';
import { NotaryError } from '../errors.ts';
import { renewalCommand } from '../renewal/expiry-watch.ts';
import { jsonText } from '../json-text.ts';
import { parseQuery } from '../query.ts';
import type { Handler } from './route.ts';

const instant = z.iso.datetime();

/** A page of what expires soon. */
export const expiringPage = z.strictObject({
  count: z.int().min(0),
  expiring: z.array(
    z.strictObject({
      gun: z.string(),
      role: z.string(),
      subject: z.enum(['metadata', 'certificates']),
      version: z.string().regex(/^-?\d+$/),
      made_by: z.enum(['client', 'server']),
      published: instant,
      expires: instant,
      command: z.string().optional().describe('what renews it'),
    }),
  ),
  next: z.string().optional().describe('the `after` of the next page; absent on the last one'),
});

/**
 * `GET /_notary_server/v1/expiring?within=30d[&made_by=client][&limit=100][&after=…]`: what has expired
 * or will have by then, soonest first; what clients have to renew unless `made_by` is `server`. `next`
 * in an answer is what to give as `after` for the rest.
 */
export function getExpiring(
  expiries: Pick<Expiries, 'soonest'>,
  now: () => Date,
): Handler<'Expiring'> {
  return async (_route, { res, query }) => {
    const wanted = parseWanted(parseQuery(query), now());
    const found = await expiries.soonest(wanted);
    const last = found.length === wanted.limit ? found.at(-1) : undefined;
    const body = jsonText({
      count: found.length,
      expiring: found.map(shown),
      ...(last && { next: cursorOf(last) }),
    });
    answer(res, 200, { 'Content-Type': JSON_TEXT }, body);
  };
}

/** The version is text: it is an int64. */
function shown(expiry: Expiry) {
  const { gun, role, subject, version, madeBy, publishedAt, expiresAt } = expiry;
  return {
    gun,
    role,
    subject,
    version: version.toString(),
    made_by: madeBy,
    published: publishedAt.toISOString(),
    expires: expiresAt.toISOString(),
    ...(madeBy === 'client' && { command: renewalCommand(expiry) }),
  };
}

const HOUR = 3_600_000;
const UNITS: ReadonlyMap<string, number> = new Map([
  ['h', HOUR],
  ['d', 24 * HOUR],
]);
const LONGEST = 36_500 * 24 * HOUR;
const LARGEST_PAGE = 1_000;

function parseWanted(parameters: ReadonlyMap<string, string>, now: Date): ExpiriesQuery {
  const within = parameters.get('within') || '30d';
  const limit = Number(decimal(parameters.get('limit') || '100'));
  const madeBy = parameters.get('made_by') || 'client';
  const after = parameters.get('after');
  if (!(limit >= 1 && limit <= LARGEST_PAGE)) throw refusal('limit', `1 to ${LARGEST_PAGE}`);
  if (madeBy !== 'client' && madeBy !== 'server') throw refusal('made_by', 'client or server');
  return {
    before: parseBefore(within, now),
    limit,
    madeBy,
    ...(after && { after: parseCursor(after) }),
  };
}

function parseBefore(within: string, now: Date): Date {
  const [, count = '', unit = ''] = /^(\d{1,9})([hd])$/.exec(within) ?? [];
  const time = Number(count) * (UNITS.get(unit) ?? Number.NaN);
  if (count === '' || !(time <= LONGEST)) throw refusal('within', 'such as 12h or 30d');
  return new Date(now.getTime() + time);
}

function decimal(text: string): string | undefined {
  return /^\d{1,9}$/.test(text) ? text : undefined;
}

function refusal(name: string, wanted: string): NotaryError {
  return new NotaryError('INVALID_PARAMETERS', {
    detail: `invalid ${name} parameter: must be ${wanted}`,
  });
}

const place = z.tuple([
  z.int().min(0).max(253_402_300_799_999),
  z.string(),
  z.string(),
  z.string(),
]);

/** Nothing but where the page ended, in letters that a query may hold. */
function cursorOf({ expiresAt, gun, role, subject }: ExpiryPlace): string {
  const text = JSON.stringify([expiresAt.getTime(), gun, role, subject]);
  return Buffer.from(text).toString('base64url');
}

function parseCursor(cursor: string): ExpiryPlace {
  const [at, gunText, roleText, subject] = parsePlace(cursor);
  const gun = parseGun(gunText);
  const role = parseRoleName(roleText);
  if (gun === undefined || role === undefined) throw notOurs();
  if (subject !== 'metadata' && subject !== 'certificates') throw notOurs();
  return { expiresAt: new Date(at), gun, role, subject };
}

function parsePlace(cursor: string): z.output<typeof place> {
  try {
    return place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) throw notOurs();
    throw error;
  }
}

const notOurs = () => refusal('after', 'the next of an answer');
