import type { IncomingMessage } from 'node:http';
import type { MetafileRef } from '@scrivener/events';
import {
  GuardRefusal,
  parseRoleName,
  TufError,
  type Gun,
  type Metafile,
  type RoleName,
} from '@scrivener/tuf';
import type { Admission, Receipt } from '../admission/admission.ts';
import { account, admittedBody } from '../admission/admitted-body.ts';
import { parsedSizeInTurns } from '../admission/parsed-size.ts';
import { answer, type Reply } from '../answer.ts';
import { asNotaryError, NotaryError, type NotaryCode } from '../errors.ts';
import { parseMediaType } from '../form/media-type.ts';
import { boundaryOf, readParts, type Part, type UploadLimits } from '../form/multipart.ts';
import { inItsTime, type Pace } from '../pacing.ts';
import type { PublishCommand } from '../publish.ts';
import { decodeQuotedPrintable } from '../form/quoted-printable.ts';
import type { Exchange, Handler } from './route.ts';

/** As in `Deps`. */
interface Updating {
  readonly publish: (command: PublishCommand) => Promise<MetafileRef>;
  readonly pace: Pick<Pace, 'arrived' | 'lost'>;
  readonly readFile: (role: RoleName, bytes: Uint8Array) => Promise<Metafile>;
  readonly limits: UploadLimits;
  readonly admission: Pick<Admission, 'receive'>;
}

/** `POST …/_trust/tuf/`: a form of metafiles that become current together (WIRE §5). */
export function updateTuf({ pace, ...updating }: Updating): Handler<'UpdateTUF'> {
  return async ({ gun }, exchange) => {
    await inItsTime(pace, gun, () => receiveAndPublish(gun, exchange, updating));
    answer(exchange.res, 200, {});
  };
}

async function receiveAndPublish(
  gun: Gun,
  { req, res, cause }: Exchange,
  { publish, readFile, limits, admission }: Omit<Updating, 'pace'>,
): Promise<void> {
  let receipt: Receipt | undefined;
  try {
    const boundary = boundaryOf(req.headers['content-type']);
    const length = announcedLength(req, limits);
    receipt = admission.receive(length);
    const upload = await readUpload(req, res, { boundary, limits, receipt, readFile });
    const { version, sha256 } = await publish({ gun, upload, cause });
    res.locals.log.info(`updated ${gun} to timestamp version ${version}, checksum ${sha256}`);
  } catch (error) {
    logRefusal(res, error);
    throw error;
  } finally {
    receipt?.leave();
  }
}

/** Before anything of it is read. */
function announcedLength({ headers }: IncomingMessage, limits: UploadLimits): number | undefined {
  const announced = headers['content-length'];
  if (announced === undefined) return undefined;
  if (Number(announced) > limits.uploadBytes) {
    throw new NotaryError('MALFORMED_UPLOAD', { status: 413 });
  }
  return Number(announced);
}

interface Reading extends Pick<Updating, 'readFile'> {
  readonly boundary: string;
  readonly limits: UploadLimits;
  readonly receipt: Receipt;
}

async function readUpload(
  req: IncomingMessage,
  res: Reply,
  { boundary, limits, receipt, readFile }: Reading,
): Promise<readonly Metafile[]> {
  if (req.headers.expect !== undefined) res.writeContinue();

  const upload: Metafile[] = [];
  // A refusal must reach the client, so giving up on the body must not close the connection.
  const body = admittedBody(req.iterator({ destroyOnReturn: false }), receipt);
  let parsed = 0;
  const weigh = async (bytes: Uint8Array) => {
    const size = await parsedSizeInTurns(bytes);
    parsed += size;
    if (parsed > limits.parsedBytes) throw new NotaryError('MALFORMED_UPLOAD', { status: 413 });
    account(receipt, size);
  };
  for await (const part of readParts(body, boundary, limits)) {
    const { role, bytes } = fileOf(part);
    await weigh(bytes);
    upload.push(await readFile(role, bytes));
  }
  return upload;
}

/** WIRE §5.2: of a part only its file name and its bytes count. */
function fileOf({ headers, bytes: sent }: Part): Pick<Metafile, 'role' | 'bytes'> {
  const disposition = parseMediaType(headers.get('content-disposition') ?? '');
  const name = disposition?.parameters.get('filename')?.replace(/\.json$/, '');
  if (!name) throw new NotaryError('NO_FILENAME');
  const role = parseRoleName(name);
  if (role === undefined) throw new NotaryError('INVALID_ROLE', { detail: name });

  const encoding = headers.get('content-transfer-encoding')?.toLowerCase();
  const bytes = encoding === 'quoted-printable' ? decodeQuotedPrintable(sent) : sent;
  return { role, bytes };
}

/** WIRE §15. */
const refusals: Partial<Record<NotaryCode, string>> = {
  MALFORMED_UPLOAD: '400 POST unable to parse TUF data',
  NO_FILENAME: '400 POST empty role',
  INVALID_ROLE: '400 POST invalid role',
  MALFORMED_JSON: '400 POST malformed update JSON',
  INVALID_UPDATE: '400 POST error validating update',
  VERSION: '400 POST old version error',
};

function logRefusal(res: Reply, error: unknown): void {
  const { code, detail } = asNotaryError(error);
  const line = refusals[code];
  if (line === undefined) return;
  if (error instanceof TufError && error.code === 'BAD_TARGETS') {
    res.locals.log.error(`ErrBadTargets: ${error.message}`);
  }
  if (error instanceof TufError && error.cause instanceof GuardRefusal) {
    logGuarded(res, error.cause);
  }
  res.locals.log.info(typeof detail === 'string' ? `${line}: ${detail}` : line);
}

/** Files of one refusal that are named in the log. */
const NAMED_FILES = 20;

/** Somebody who holds keys tried to lock others out: which bytes that was, to be found again. */
function logGuarded({ locals }: Reply, { message, files }: GuardRefusal): void {
  const refused = files.slice(0, NAMED_FILES).map(({ role, version, sha256 }) => {
    return { role, version: version.toString(), sha256 };
  });
  locals.log.warn({ refused }, `the guard refused an update: ${message}`);
}
