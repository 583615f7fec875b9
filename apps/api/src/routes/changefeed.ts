import type { Change, ReadModel } from '@scrivener/read-model';
import { answer, TEXT } from '../answer.ts';
import { NotaryError } from '../errors.ts';
import { jsonText } from '../json-text.ts';
import { parseQuery } from '../query.ts';
import type { Handler } from './route.ts';

/** `GET …/_trust/changefeed?records=N[&change_id=ID]`, of one repository or of all (WIRE §11). */
export function getChangefeed(readModel: Pick<ReadModel, 'changes'>): Handler<'Changefeed'> {
  return async ({ gun }, { res, query }) => {
    const parameters = parseQuery(query);
    const records = requiredRecords(parameters.get('records') ?? '', (text) =>
      res.locals.log.error(`400 GET invalid pageSize: ${text}`),
    );
    const changeId = optionalChangeId(parameters.get('change_id') ?? '');

    const changes = await readModel.changes({ ...(gun && { gun }), changeId, records });
    answer(res, 200, { 'Content-Type': TEXT }, rendered(changes));
  };
}

/** What `records=0` asks for. */
const DEFAULT_RECORDS = 100;

function requiredRecords(text: string, refused: (text: string) => void): number {
  const value = parseInt32(text);
  if (typeof value === 'number') return value === 0 ? DEFAULT_RECORDS : value;
  refused(text);
  const detail = `invalid records parameter: strconv.ParseInt: parsing ${quoted(text)}: ${value}`;
  throw new NotaryError('INVALID_PARAMETERS', { detail });
}

function optionalChangeId(text: string): number {
  const value = text === '' ? 0 : parseInt32(text);
  if (typeof value === 'number') return value;
  throw new NotaryError('INVALID_PARAMETERS', { detail: {} });
}

/** The number, or what is wrong with it in the words of the old server. */
function parseInt32(text: string): number | 'invalid syntax' | 'value out of range' {
  if (!/^[+-]?[0-9]+$/.test(text)) return 'invalid syntax';
  const value = Number(text);
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : 'value out of range';
}

/** As the old server quoted text in its messages. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Members in this order, ids as strings, no newline (WIRE §11). */
function rendered(changes: readonly Change[]): string {
  const records = changes.map(({ id, createdAt, gun, version, sha256, category }) => {
    // A version is an int64, which JSON.stringify refuses.
    const before = jsonText({ ID: String(id), CreatedAt: rfc3339(createdAt), GUN: gun });
    const after = jsonText({ SHA256: sha256, Category: category });
    return `${before.slice(0, -1)},"Version":${version},${after.slice(1)}`;
  });
  return `{"count":${records.length},"records":[${records.join(',')}]}`;
}

function rfc3339(date: Date): string {
  return date.toISOString().replace(/\.?0*Z$/, 'Z');
}
